"""The Export and Import docks."""
