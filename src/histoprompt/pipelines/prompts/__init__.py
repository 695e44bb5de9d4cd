"""Segment one object from prompts."""
