"""Tell classes of cells apart from a few examples."""
