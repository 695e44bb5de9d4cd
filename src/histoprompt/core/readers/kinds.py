"""How files of each kind begin, and what is in the folders of those that are folders."""

from __future__ import annotations

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PLAIN = (b"\x89PNG", b"\xff\xd8\xff")
ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
