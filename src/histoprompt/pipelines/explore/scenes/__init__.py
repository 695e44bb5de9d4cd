"""Kinds of tissue that tiles fall into by themselves, over all slides."""
