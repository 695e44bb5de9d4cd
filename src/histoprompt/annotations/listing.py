"""Objects of a plane as columns: what a table of a million rows is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.objects import ObjectTable


@dataclass(frozen=True)
class ObjectColumns:
    """One entry per object, ordered by id.

    Attributes
    ----------
    ids : (n,) uint32
    boxes : (n, 4) int32
        r0, c0, r1, c1 of the smallest level-0 boxes.
    areas : (n,) int64
        Level-0 pixels.
    class_names : tuple of str
        The classes there are, "" among them if some have none.
    classes : (n,) int32
        Number of each object's class in `class_names`.
    origins : (n, 2) int64
        Place in the journal and step of what made each; the same for objects of the same origin.
    """

    ids: NDArray[np.uint32]
    boxes: NDArray[np.int32]
    areas: NDArray[np.int64]
    class_names: tuple[str, ...]
    classes: NDArray[np.int32]
    origins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


def columns_of(table: ObjectTable) -> ObjectColumns:
    """The objects of a table as they are now."""
    cells = table.measured()
    known = table.meta.rows()
    assert np.array_equal(known["id"], cells["id"])
    used, codes = np.unique(known["code"], return_inverse=True)
    found = [table.meta.names[code] for code in used.tolist()]
    names = tuple(sorted(found))
    number = np.array([names.index(name) for name in found], np.int32)
    return ObjectColumns(
        ids=cells["id"].astype(np.uint32),
        boxes=np.stack([cells[side] for side in ("r0", "c0", "r1", "c1")], axis=1),
        areas=cells["area"].astype(np.int64),
        class_names=names,
        classes=number[codes],
        origins=np.column_stack([known["record"], known["step"]]).astype(np.int64),
    )
