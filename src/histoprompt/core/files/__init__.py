"""Files: whole or not at all, seen through to the disk, locked, read with limits."""
