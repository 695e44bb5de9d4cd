"""Headless storage of what people and models marked on a slide."""
