"""Plain data about slides, boxes, tiles, prompts and results; no torch, napari or Qt."""
