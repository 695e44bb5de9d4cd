"""Names that people and files give: made fit for one line, for a spreadsheet, for a folder."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

# Longer names come from damage or malice; they would fill a table's column or a window.
LONGEST = 500

# What a spreadsheet takes for a formula, and the same behind the quotes that prevent it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_SUFFIXES = (
    ".ome.tif", ".ome.tiff", ".ome.zarr", ".tif", ".tiff", ".svs", ".ndpi", ".scn", ".bif",
    ".btf", ".zarr", ".dcm", ".png", ".jpg", ".jpeg", ".qptiff", ".vms", ".mrxs",
)  # fmt: skip
# What some system forbids in the name of a folder, or takes for something else.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
# A name of a folder may have 255 bytes; room is left for numbers and endings behind it.
_FOLDER_BYTES = 200


def tidy(text: str) -> str:
    """A name as one line: line breaks and other control characters become spaces."""
    if text.isprintable() and len(text) <= LONGEST:
        return text.strip()
    kinds = {"Cc", "Cs", "Zl", "Zp"}
    line = "".join(" " if unicodedata.category(c) in kinds else c for c in text[: LONGEST + 1])
    return (line if len(text) <= LONGEST else line[: LONGEST - 1] + "…").strip()


def guarded(text: str) -> str:
    """A name as a cell of a table that no spreadsheet takes for a formula; `plain` undoes it."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain(cell: str) -> str:
    """The name that `guarded` was given."""
    return cell[1:] if _GUARDED.match(cell) else cell


def without_suffix(path: str | os.PathLike[str]) -> str:
    """The name of a slide's file or folder without the ending that says its format.

    Nothing else is cut: a name may hold dots, and those of DICOM files consist of numbers between
    them.
    """
    name = Path(path).name
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def result_name(path: str | os.PathLike[str]) -> str:
    """The folder for the results of a file: one name on every system, visible, below its parent.

    Two files whose names differ give two folders, except where they differ in format or in what no
    folder may hold.
    """
    name = without_suffix(path).encode("utf-8", "replace").decode()
    name = fitted(_FORBIDDEN.sub("_", name).strip(" ."))
    return (f"_{name}" if _DEVICES.match(name) else name) or "slide"


def fitted(name: str) -> str:
    """A name of a file or folder, cut where it is too long for a disk; different ones stay so."""
    raw = name.encode()
    if len(raw) <= _FOLDER_BYTES:
        return name
    kept = raw[: _FOLDER_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(raw).hexdigest()[:8]}"
