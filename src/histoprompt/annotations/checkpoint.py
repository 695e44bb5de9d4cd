"""A saved state of the table, the undo stacks and the chunks, so that opening need not replay all.

It is a shortcut and never the truth: without it, or with a damaged one, the journal is replayed
from its start.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histoprompt.annotations.chunks import Name
from histoprompt.annotations.history import History
from histoprompt.annotations.objects import CELL, Cells, Meta, ObjectTable
from histoprompt.annotations.place import StoreManifest
from histoprompt.annotations.sums import Sum
from histoprompt.core.files.atomic import replace_file

_SUM = np.dtype(
    [(name, "<i4") for name in ("level", "row", "col")] + [("size", "<i8"), ("digest", "<u8")]
)


@dataclass(frozen=True)
class Checkpoint:
    """What a store knows after the journal's first `applied` bytes."""

    applied: int
    undo: list[int]
    redo: list[int]
    next_id: int
    cells: Cells
    meta: dict[int, Meta]
    sums: Mapping[Name, Sum]
    mark: StoreManifest

    @classmethod
    def of(
        cls, mark: StoreManifest, table: ObjectTable, sums: Mapping[Name, Sum], history: History
    ) -> Checkpoint:
        """The state as it is."""
        undo, redo, applied = history.undo, history.redo, history.end
        cells, meta = table.cells(), table.meta
        return cls(applied, undo, redo, table.next_id, cells, meta, sums, mark)

    def save(self, path: Path) -> None:
        """Write the file beside and put it in place.

        Raises
        ------
        ExportError
            If it cannot be written; the older file is then still in place.
        """
        classes = sorted({meta.class_name for meta in self.meta.values()})
        number = {name: i for i, name in enumerate(classes)}
        rows = [(i, number[m.class_name], m.record, m.step) for i, m in self.meta.items()]
        sums = np.array([(*name, *there) for name, there in self.sums.items()], _SUM)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            state=np.array([self.applied, self.next_id], np.int64),
            undo=np.array(self.undo, np.int64),
            redo=np.array(self.redo, np.int64),
            cells=self.cells,
            meta=np.array(rows, np.int64).reshape(-1, 4),
            classes=np.frombuffer(json.dumps(classes).encode(), np.uint8),
            sums=sums,
            mark=np.frombuffer(self.mark.to_json().encode(), np.uint8),
        )
        replace_file(path, buffer.getvalue())

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
                    sums={(*row[:3],): (row[3], row[4]) for row in file["sums"].tolist()},
                    mark=StoreManifest.from_json(file["mark"].tobytes()),
                )
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return None
