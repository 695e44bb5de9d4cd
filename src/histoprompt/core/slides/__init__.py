"""Slides: opened, read at any level and resolution, told apart."""
