"""Prompts: clicks, boxes and scribbles, and their files."""
