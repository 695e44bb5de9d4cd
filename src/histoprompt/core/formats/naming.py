"""A slide's name for people."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.names import tidy, without_suffix


def slide_name(path: Path) -> str:
    """The file's name without its suffix, `.ome.tif` and `.ome.zarr` counting as one."""
    return tidy(without_suffix(path)) or path.name
