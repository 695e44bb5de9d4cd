"""What networks of nuclei share: instances from maps, windows, pooled features."""
