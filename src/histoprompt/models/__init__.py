"""What a model is, which there are, and which is in memory; no napari or Qt."""
