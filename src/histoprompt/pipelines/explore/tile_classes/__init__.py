"""Classes of tiles from a few marked ones."""
