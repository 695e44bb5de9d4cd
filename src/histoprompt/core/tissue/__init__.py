"""Tissue: where it is, what it looks like, and words for it."""
