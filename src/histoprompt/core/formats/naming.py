"""A slide's name for people, and for the folder its results go to."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.printable import printable

# What is cut from the end of a name. A name may hold any number of dots of its own: `S24-1.8_ROI1`.
_SUFFIXES = (
    ".svs", ".ndpi", ".scn", ".bif", ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".qptiff",
    ".dcm", ".dicom", ".zarr", ".png", ".jpg", ".jpeg",
)  # fmt: skip
_FORBIDDEN = '<>:"/\\|?*'


def slide_name(path: Path) -> str:
    """The name without the suffix of its format, `.ome.tif` and `.ome.zarr` counting as one."""
    name = _full_name(path)
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    if name.lower().endswith(".ome"):
        name = name[:-4]
    return name or _full_name(path).lstrip(".")


def result_name(path: Path) -> str:
    """The name of a folder for the results of a slide: never hidden, never another place.

    `slide_name`, less dots and blanks at its ends and what a file system does not take.
    """
    name = "".join("_" if c in _FORBIDDEN else c for c in printable(slide_name(path)))
    return name.strip(". ") or "slide"


def _full_name(path: Path) -> str:
    """The last part of a path; that of the place meant where it is `.` or `..`."""
    return path.name if path.name not in ("", ".", "..") else path.absolute().resolve().name
