"""A slide's name for people, and for the folder its results go to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from histoprompt.core.files.remote import Place, RemoteFolder
from histoprompt.core.strings.addresses import address_name, address_of
from histoprompt.core.strings.names import fitted, tidy

# What is cut from the end of a name. A name may hold any number of dots of its own: `S24-1.8_ROI1`.
SUFFIXES = (
    ".svs", ".ndpi", ".scn", ".bif", ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".qptiff", ".vms",
    ".mrxs", ".dcm", ".dicom", ".zarr", ".png", ".jpg", ".jpeg",
)  # fmt: skip
# What some system forbids in the name of a folder, or takes for something else.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def slide_name(path: Place | RemoteFolder) -> str:
    """The name without the suffix of its format, `.ome.tif` and `.ome.zarr` counting as one."""
    return tidy(without_suffix(path if isinstance(path, Path) else path.name)) or path.name


def without_suffix(path: str | os.PathLike[str]) -> str:
    """The name of a slide's file or folder without the ending that says its format.

    Nothing else is cut: a name may hold dots, and those of DICOM files consist of numbers between
    them.
    """
    address = address_of(path)
    place = Path(path if address is None else address_name(address))
    # that of the folder meant where it is called `.` or `..`
    name = place.name if place.name not in ("", "..") else Path(os.path.realpath(place)).name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            return name[:-4] if name.lower().endswith(".ome") and len(name) > 4 else name
    return name


def result_name(path: str | os.PathLike[str]) -> str:
    """The folder for the results of a file: one name on every system, visible, below its parent.

    Two files whose names differ give two folders, except where they differ in format or in what no
    folder may hold.
    """
    name = without_suffix(path).encode("utf-8", "replace").decode()
    name = fitted(_FORBIDDEN.sub("_", name).strip(" ."))
    return (f"_{name}" if _DEVICES.match(name) else name) or "slide"
