"""Label images: where they come from, their files, outlines, shapes and classes."""
