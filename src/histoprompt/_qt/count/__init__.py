"""The Count and Cells docks."""
