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
    ids = cells["id"].tolist()
    metas = [table.meta[i] for i in ids]
    names = tuple(sorted({meta.class_name for meta in metas}))
    number = {name: n for n, name in enumerate(names)}
    return ObjectColumns(
        ids=cells["id"].astype(np.uint32),
        boxes=np.stack([cells[side] for side in ("r0", "c0", "r1", "c1")], axis=1),
        areas=cells["area"].astype(np.int64),
        class_names=names,
        classes=np.array([number[meta.class_name] for meta in metas], np.int32),
        origins=np.array([(meta.record, meta.step) for meta in metas], np.int64).reshape(-1, 2),
    )
