"""Small tables in the user's folder: one JSON object a file, read whole and replaced whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from histoprompt.core.errors import RecordError
from histoprompt.core.files.atomic import explained, replace_file
from histoprompt.core.files.documents import FEW_BYTES, read_json
from histoprompt.core.files.locks import alone_at


def read_record(path: Path) -> dict[str, Any]:
    """The entries of a table; empty if there is no file.

    Raises
    ------
    RecordError
        If the file is there and cannot be read: what the user decided must not be forgotten.
    """
    if not os.path.lexists(path):
        return {}
    try:
        raw = read_json(path, RecordError, FEW_BYTES)
    except RecordError as error:
        fault = str(error).removeprefix(f"{path} ").removeprefix("cannot be read: ")
        raise RecordError(f"{path} cannot be read: {fault} Repair it or remove it.") from error
    if not isinstance(raw, dict):
        raise RecordError(f"{path} holds no table. Repair it or remove it.")
    return raw


def change_record(path: Path, key: str, value: Any) -> None:
    """Set one entry of a table, or remove it with None; safe among processes.

    Raises
    ------
    RecordError
        If the file is there and cannot be read.
    ExportError
        If it cannot be written.
    """
    with explained(path), alone_at(path):
        entries = {**read_record(path), key: value}
        entries = {name: entry for name, entry in entries.items() if entry is not None}
        replace_file(path, json.dumps(entries, indent=1, sort_keys=True))
