"""A saved state of the table, the undo stacks and the chunks, so that opening need not replay all.

It is a shortcut and never the truth: without it, or with a damaged one, the journal is replayed
from its start.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.history import History
from histoprompt.annotations.objects import CELL, Cells
from histoprompt.annotations.packed import MetaMap
from histoprompt.annotations.place import StoreManifest
from histoprompt.annotations.planes import PLANES, Name
from histoprompt.annotations.state import LabelState
from histoprompt.annotations.sums import Sum
from histoprompt.core.files.atomic import replacing_file

_NAME = ("level", "plane", "row", "col")
_SUM = np.dtype([(name, "<i4") for name in _NAME] + [("size", "<i8"), ("digest", "<u8")])


@dataclass(frozen=True)
class Objects:
    """What is known of the objects of a plane."""

    next_id: int = 1
    cells: Cells = field(default_factory=lambda: np.zeros(0, CELL))
    meta: MetaMap = field(default_factory=MetaMap)


@dataclass(frozen=True)
class Checkpoint:
    """What a store knows after the journal's first `applied` bytes."""

    applied: int
    undo: list[int]
    redo: list[int]
    planes: tuple[Objects, ...]
    classes: tuple[ObjectClass, ...]
    sums: Mapping[Name, Sum]
    mark: StoreManifest

    @classmethod
    def of(
        cls, mark: StoreManifest, state: LabelState, sums: Mapping[Name, Sum], history: History
    ) -> Checkpoint:
        """The state as it is."""
        undo, redo, applied = history.undo, history.redo, history.end
        planes = tuple(Objects(t.next_id, t.cells(), t.meta) for t in state.tables)
        return cls(applied, undo, redo, planes, state.classes, sums, mark)

    def save(self, path: Path) -> None:
        """Write the file beside and put it in place.

        Raises
        ------
        ExportError
            If it cannot be written; the older file is then still in place.
        """
        names = sorted({name for plane in self.planes for name in plane.meta.names})
        number = {name: i for i, name in enumerate(names)}
        sums = np.array([(*name, *there) for name, there in self.sums.items()], _SUM)
        held: dict[str, Any] = {
            "applied": np.array(self.applied, np.int64),
            "undo": np.array(self.undo, np.int64),
            "redo": np.array(self.redo, np.int64),
            "names": _packed(names),
            "classes": _packed([item.to_row() for item in self.classes]),
            "sums": sums,
            "mark": np.frombuffer(self.mark.to_json().encode(), np.uint8),
        }
        for title, plane in zip(PLANES, self.planes, strict=True):
            rows = plane.meta.rows()
            codes = np.array([number[name] for name in plane.meta.names], np.int64)
            columns = (rows["id"], codes[rows["code"]], rows["record"], rows["step"])
            held[f"{title}_next"] = np.array(plane.next_id, np.int64)
            held[f"{title}_cells"] = plane.cells
            held[f"{title}_meta"] = np.stack(columns, axis=1, dtype=np.int64)
        with replacing_file(path) as part, part.open("wb") as file:
            np.savez(file, **held)

    @classmethod
    def load(cls, path: Path) -> Checkpoint | None:
        """Read the file, None if it is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls._of_old(file) if "state" in file else cls._of(file)
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return None

    @classmethod
    def _of(cls, file: Mapping[str, NDArray[Any]]) -> Checkpoint:
        names = _unpacked(file["names"])
        planes = [
            Objects(
                int(file[f"{title}_next"]),
                file[f"{title}_cells"].astype(CELL),
                MetaMap.of_columns(file[f"{title}_meta"], names),
            )
            for title in PLANES
        ]
        return cls(
            applied=int(file["applied"]),
            undo=file["undo"].tolist(),
            redo=file["redo"].tolist(),
            planes=tuple(planes),
            classes=tuple(ObjectClass.from_row(row) for row in _unpacked(file["classes"])),
            sums={(*row[:4],): (row[4], row[5]) for row in file["sums"].tolist()},
            mark=StoreManifest.from_json(file["mark"].tobytes()),
        )

    @classmethod
    def _of_old(cls, file: Mapping[str, NDArray[Any]]) -> Checkpoint:
        """Of a store from before there were planes: all it has are objects."""
        applied, next_id = file["state"].tolist()
        meta = MetaMap.of_columns(file["meta"], _unpacked(file["classes"]))
        return cls(
            applied=applied,
            undo=file["undo"].tolist(),
            redo=file["redo"].tolist(),
            planes=(Objects(next_id, file["cells"].astype(CELL), meta), Objects()),
            classes=(),
            sums={
                (level, 0, row, col): (size, digest)
                for level, row, col, size, digest in file["sums"].tolist()
            },
            mark=StoreManifest.from_json(file["mark"].tobytes()),
        )


def _packed(value: object) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _unpacked(array: NDArray[Any]) -> Any:
    return json.loads(array.tobytes())
