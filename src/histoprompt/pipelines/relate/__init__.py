"""Findings that relate images to reports and patient data, and survive an honest test."""
