"""Regions that words found, and the cells in them: where text and count meet."""
