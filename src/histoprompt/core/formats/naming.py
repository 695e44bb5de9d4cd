"""A slide's name for people."""

from __future__ import annotations

from pathlib import Path


def slide_name(path: Path) -> str:
    """The file's name without its suffix, `.ome.tif` and `.ome.zarr` counting as one."""
    return path.stem.removesuffix(".ome") or path.name
