"""histoprompt: point at what you mean in a histology slide, correct it, count it, export it."""

__version__ = "0.1.0"
