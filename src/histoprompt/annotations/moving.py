"""Objects that change their plane, as one edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histoprompt.annotations.chunks import Labels
from histoprompt.annotations.edits import relabel
from histoprompt.core.geometry import Box

if TYPE_CHECKING:
    from histoprompt.annotations.engine import Engine


def move(
    engine: Engine, ids: Sequence[int], planes: tuple[int, int], info: Mapping[str, Any]
) -> dict[int, int]:
    """Give objects new ids on another plane, and take them off theirs; see `LabelStore.move`.

    Parameters
    ----------
    engine : Engine
    ids : sequence of int
        Those that exist, ascending.
    planes : (from, to)
    info : mapping
        Added to what is known of each, which stays.
    """
    source, target = (engine.state.tables[plane] for plane in planes)
    first = target.new_id()
    given = {i: first + n for n, i in enumerate(ids)}
    with engine.group("move"):
        for i, new in given.items():
            known = engine.origin_of(planes[0], i)
            keys = source.keys_of([i])
            there = [(planes[1], row, col) for _, row, col in keys]
            engine.edit(
                known.op or "move", {**known.info, **info}, there, _take(engine, planes[0], i, new)
            )
            if new in target and source.known(i).class_name:
                target.set_class([new], source.known(i).class_name)
        engine.edit("move", info, source.keys_of(ids), relabel(ids, 0))
    return {i: new if new in target else 0 for i, new in given.items()}


def _take(engine: Engine, plane: int, object_id: int, new: int) -> Any:
    """Give the free pixels that an object has on its plane to a new one."""

    def edit(box: Box, before: Labels) -> Labels:
        side = engine.chunks.chunk
        there = engine.chunks.read(0, (plane, int(box.r0) // side, int(box.c0) // side))
        mine = there[: before.shape[0], : before.shape[1]] == object_id
        return np.where(mine & (before == 0), np.uint32(new), before)

    return edit
