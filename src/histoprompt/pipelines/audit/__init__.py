"""Audit: statistics of fields that a person looked at; knows no count."""
