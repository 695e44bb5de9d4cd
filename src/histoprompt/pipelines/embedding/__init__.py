"""Tiles of slides as vectors: which tiles there are, what models make of them, where it is kept."""
