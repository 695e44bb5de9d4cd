"""A saved state of the object table and the undo stacks, so that opening need not replay all.

It is a shortcut and never the truth: without it, or with a damaged one, the journal is replayed
from its start.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histoprompt.annotations.objects import CELL, Cells, Meta, ObjectTable


@dataclass(frozen=True)
class Checkpoint:
    """What a store knows after the journal's first `applied` bytes."""

    applied: int
    undo: list[int]
    redo: list[int]
    next_id: int
    cells: Cells
    meta: dict[int, Meta]

    @classmethod
    def of(cls, table: ObjectTable, applied: int, undo: list[int], redo: list[int]) -> Checkpoint:
        """The state as it is."""
        return cls(applied, undo, redo, table.next_id, table.cells(), table.meta)

    def save(self, path: Path) -> None:
        """Write the file beside and put it in place.

        Raises
        ------
        OSError
            If it cannot be written; the older file is then still in place.
        """
        classes = sorted({meta.class_name for meta in self.meta.values()})
        number = {name: i for i, name in enumerate(classes)}
        rows = [(i, number[m.class_name], m.record, m.step) for i, m in self.meta.items()]
        buffer = io.BytesIO()
        np.savez(
            buffer,
            state=np.array([self.applied, self.next_id], np.int64),
            undo=np.array(self.undo, np.int64),
            redo=np.array(self.redo, np.int64),
            cells=self.cells,
            meta=np.array(rows, np.int64).reshape(-1, 4),
            classes=np.frombuffer(json.dumps(classes).encode(), np.uint8),
        )
        _replace(path, buffer.getbuffer())

    @classmethod
    def load(cls, path: Path) -> Checkpoint | None:
        """Read the file, None if it is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                classes = json.loads(file["classes"].tobytes())
                rows = file["meta"].tolist()
                return cls(
                    applied=int(file["state"][0]),
                    undo=file["undo"].tolist(),
                    redo=file["redo"].tolist(),
                    next_id=int(file["state"][1]),
                    cells=file["cells"].astype(CELL),
                    meta={i: Meta(classes[c], record, step) for i, c, record, step in rows},
                )
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return None


def _replace(path: Path, data: memoryview) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
