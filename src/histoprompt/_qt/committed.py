"""The finished objects: a window of the label store that napari's own tools can edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt import layers
from histoprompt._qt.edits import EditWatcher
from histoprompt._qt.work_area import MAX_EDIT_SCALE
from histoprompt.annotations.edits import Rule
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import HistopromptError, LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask


class CommittedObjects:
    """Shows the store over the work area and writes every edit of the layer back to it.

    Attributes
    ----------
    changed : Signal(str)
        Labels changed; says how, for the status line.
    failed : Signal(str)
        An edit could not be kept; the layer was put back to what the store holds.
    """

    changed = Signal(str)
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, image: Image, store: LabelStore, area: Frame) -> None:
        self._image = image
        self.store = store
        self.area = area
        self._known = self._read(area)
        self.layer: Labels = layers.make_committed(image, area, self._known.copy())
        self.layer.selected_label = store.next_id()
        self.layer.editable = self.layer.editable and not store.read_only
        viewer.add_layer(self.layer)
        self._watcher = EditWatcher(self.layer, self._take_edit)

    def show(self, area: Frame) -> None:
        """Move to another work area."""
        self.area = area
        self._known = self._read(area)
        self.layer.data = self._known.copy()
        layers.move(self.layer, self._image, area)
        fine = round(area.scale[0]) <= MAX_EDIT_SCALE
        self.layer.editable = fine and not self.store.read_only

    def commit(
        self, masks: Sequence[Mask], rule: Rule, info: Mapping[str, Any], class_name: str = ""
    ) -> list[int]:
        """Keep masks as new objects, one undoable step for all of them.

        Returns the ids of those that got pixels.

        Raises
        ------
        LabelStoreError
            If existing objects leave none of them any pixel.
        """
        with self.store.group("commit"):
            given = [self.store.commit(mask, rule=rule, info=info) for mask in masks]
            ids = [object_id for object_id in given if object_id]
            if not ids:
                raise LabelStoreError(
                    "Nothing was committed: other objects have all of these pixels already. "
                    "Choose the overlap rule that overwrites, or delete the other objects."
                )
            if class_name:
                self.store.set_class(ids, class_name)
        self.show_change(self.store.last_change, f"Committed {_objects(ids)}")
        return ids

    def merge(self, ids: Sequence[int]) -> None:
        """Make these objects one."""
        kept = self.store.merge(ids)
        self.show_change(self.store.last_change, f"Merged {_objects(ids)} into {kept}")

    def delete(self, ids: Sequence[int]) -> None:
        """Remove these objects."""
        self.show_change(self.store.delete(ids), f"Deleted {_objects(ids)}")

    def undo(self) -> bool:
        """Take back the last edit of labels; False if there is none."""
        change = self.store.undo()
        return change is not None and self.show_change(change, f"Undid: {change.op}")

    def redo(self) -> bool:
        """Do the edit taken back last again; False if there is none."""
        change = self.store.redo()
        return change is not None and self.show_change(change, f"Redid: {change.op}")

    def at(self, row: float, col: float) -> int:
        """The object at a level-0 position, 0 for none."""
        i, j = np.rint(self.area.to_array([[row, col]])[0]).astype(int)
        if not (0 <= i < self.area.shape[0] and 0 <= j < self.area.shape[1]):
            return 0
        return int(self.layer.data[i, j])

    def show_change(self, change: Change | None, text: str) -> bool:
        """Show what changed and tell of it."""
        if change is not None:
            self._refresh(change.box)
        self.layer.selected_label = self.store.next_id()
        self.changed.emit(text)
        return True

    def _read(self, area: Frame) -> NDArray[np.int32]:
        """The store's labels over an area at the area's scale; beyond the slide there are none."""
        scale = round(area.scale[0])
        level = self.store.levels[min(scale.bit_length() - 1, len(self.store.levels) - 1)]
        step = max(1, scale // round(self.store.shape[0] / level.shape[0]))
        rows = slice(round(area.box.r0) // scale * step, round(area.box.r1) // scale * step, step)
        cols = slice(round(area.box.c0) // scale * step, round(area.box.c1) // scale * step, step)
        out = np.zeros(area.shape, np.int32)
        found = np.asarray(level[rows, cols])
        out[: found.shape[0], : found.shape[1]] = found
        return out

    def _refresh(self, box: Box) -> None:
        """Show what the store holds inside a level-0 box."""
        part = box.intersection(self.area.box)
        if part is None:
            return
        scale = round(self.area.scale[0])
        inner = self.area.box_to_array(part.pad(scale)).to_pixels()
        inner_or_none = inner.intersection(Box.of_shape(self.area.shape))
        if inner_or_none is None:
            return
        frame = Frame(self.area.box_to_slide(inner_or_none), inner_or_none.shape)
        fresh = self._read(frame)
        self._known[inner_or_none.slices()] = fresh
        self.layer.data[inner_or_none.slices()] = fresh
        self.layer.refresh()

    def _take_edit(self) -> bool:
        """Keep what a finished stroke, fill or polygon changed."""
        data = np.asarray(self.layer.data)
        changed = Box.of_mask(data != self._known) if data.shape == self._known.shape else None
        if changed is None:
            return False
        where = changed.slices()
        try:
            self._write(changed, data[where], data[where] != self._known[where])
        except HistopromptError as error:
            self.layer.data[where] = self._known[where]
            self.layer.refresh()
            self.failed.emit(str(error))
            return True
        self._known[where] = data[where]
        self.changed.emit("Painted")
        return True

    def _write(self, box: Box, values: NDArray[np.int32], changed: NDArray[np.bool_]) -> None:
        """Write changed array pixels as the level-0 blocks they stand for."""
        scale = round(self.area.scale[0])
        level0 = (
            self.area.box_to_slide(box).to_pixels().intersection(Box.of_shape(self.store.shape))
        )
        if level0 is None:
            return
        labels = self.store.read(level0)
        block = np.ones((scale, scale), np.int32)
        rows, cols = labels.shape
        big, hit = np.kron(values, block)[:rows, :cols], np.kron(changed, block)[:rows, :cols] > 0
        labels[hit] = big[hit]
        self.store.write(level0, labels, op="paint")


def _objects(ids: Sequence[int]) -> str:
    if len(ids) == 1:
        return f"object {ids[0]}"
    return f"{len(ids)} objects ({', '.join(map(str, ids[:6]))}{', ...' if len(ids) > 6 else ''})"
