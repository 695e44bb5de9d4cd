"""Names that people and files give: made fit for one line, for a spreadsheet, for a disk."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# Longer names come from damage or malice; they would fill a table's column or a window.
LONGEST = 500

# What a spreadsheet takes for a formula, and the same behind the quotes that prevent it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
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


def fitted(name: str) -> str:
    """A name of a file or folder, cut where it is too long for a disk; different ones stay so."""
    raw = name.encode()
    if len(raw) <= _FOLDER_BYTES:
        return name
    kept = raw[: _FOLDER_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(raw).hexdigest()[:8]}"
