"""Committed objects: drawn, corrected, reshaped, cut and refined."""
