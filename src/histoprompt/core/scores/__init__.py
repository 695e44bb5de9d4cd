"""Score maps: what texts scored on tiles, their regions and files."""
