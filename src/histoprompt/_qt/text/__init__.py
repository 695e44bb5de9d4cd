"""The Text dock."""
