"""Finished objects, or regions: a window of the label store that napari's own tools can edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.edits import EditWatcher
from histoprompt._qt.layers.work_area import MAX_EDIT_SCALE, MAX_REGION_SCALE
from histoprompt._qt.prompts.object_colours import ObjectColormap, colormap_of
from histoprompt._qt.shell.messages import told
from histoprompt.annotations.edits import Rule, components
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import HistopromptError, LabelStoreError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.sources import pieces
from histoprompt.core.results import Mask

# Largest box of an object whose pieces are counted after a stroke, pixels.
_COUNTED = 2**22
_OUTLINE_PX = 2
# Level-0 pixels a side that are written at once: a coarse stroke may cover much of a slide.
_PIECE = 2048
_BY_HAND = {"model": "by hand"}


class CommittedObjects:
    """Shows a plane of the store over the work area and writes every edit of the layer back to it.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide's layer.
    store : LabelStore
        On the plane to show.
    area : Frame

    Attributes
    ----------
    rule : "keep" or "overwrite"
        Whether painting leaves the pixels of other objects alone.
    class_name : str
        Given to objects that are painted anew; "" for none.
    chosen : int
        The object that painting extends; 0 to make a new one with each stroke.
    changed : Signal(str)
        Labels changed; says how, for the status line.
    made : Signal(Change, str)
        An edit was made that can be taken back, and what it was. Not sent for undo and redo.
    said : Signal(str)
        Something to know that is no edit.
    failed : Signal(str)
        An edit could not be kept; the layer was put back to what the store holds.
    shown : Signal(Change)
        Something changed on either plane and was shown here; `follow` is for the other one.
    picked : Signal(int)
        An object was chosen on the slide; 0 for none.
    """

    changed = Signal(str)
    made = Signal(Change, str)
    said = Signal(str)
    failed = Signal(str)
    shown = Signal(Change)
    picked = Signal(int)

    def __init__(self, viewer: ViewerModel, image: Image, store: LabelStore, area: Frame) -> None:
        self._image = image
        self.store = store
        self.area = area
        self.rule: Rule = "keep"
        self.class_name = ""
        self.chosen = 0
        self._label = 0
        of_regions = store.plane == "regions"
        self.noun = "region" if of_regions else "object"
        self._finest = MAX_REGION_SCALE if of_regions else MAX_EDIT_SCALE
        name = layers.REGIONS if of_regions else layers.COMMITTED
        self._known = self._read(area)
        self.layer: Labels = layers.make_committed(image, area, self._known.copy(), name)
        self._new_label()
        self._describe()
        self.layer.editable = self.layer.editable and not store.read_only
        self.outline(of_regions)  # filled, a region would hide the tissue in it
        viewer.add_layer(self.layer)
        self._watcher = EditWatcher(self.layer, self._take_edit)
        self.layer.events.selected_label.connect(self._on_label)

    # -- how it looks ------------------------------------------------------------------------

    def show(self, area: Frame) -> None:
        """Move to another work area."""
        self.area = area
        self._known = self._read(area)
        self.layer.data = self._known.copy()
        layers.move(self.layer, self._image, area)
        fine = round(area.scale[0]) <= self._finest
        self.layer.editable = fine and not self.store.read_only

    def outline(self, on: bool) -> None:
        """Show outlines of objects, or fill them."""
        self.layer.contour = _OUTLINE_PX if on else 0

    @property
    def outlined(self) -> bool:
        """Whether outlines are shown."""
        return bool(self.layer.contour)

    def paint_with(self, rule: Rule, class_name: str) -> None:
        """Let strokes follow this rule, and give new objects this class."""
        self.rule = rule
        if class_name != self.class_name:
            self.class_name = class_name
            colours = self.layer.colormap
            if isinstance(colours, ObjectColormap):
                colours.show(self.store.classes(), class_name)
            else:  # napari's own were chosen
                self._describe()

    # -- edits -------------------------------------------------------------------------------

    def commit(
        self, masks: Sequence[Mask], rule: Rule, info: Mapping[str, Any], class_name: str = ""
    ) -> tuple[list[int], Change]:
        """Keep masks as new objects, one undoable step for all of them; `show_change` shows it.

        Returns the ids of those that got pixels, and what changed.

        Raises
        ------
        LabelStoreError
            If existing objects leave none of them any pixel.
        """
        with self.store.group("commit") as edit:
            given = [self.store.commit(mask, rule=rule, info=info) for mask in masks]
            ids = [object_id for object_id in given if object_id]
            if not ids:
                raise LabelStoreError(
                    "Nothing was committed: other objects have all of these pixels already. "
                    "Choose the overlap rule that overwrites, or delete the other objects."
                )
            if class_name:
                self.store.set_class(ids, class_name)
        assert edit.change is not None  # objects got pixels
        return ids, edit.change

    def merge(self, ids: Sequence[int]) -> None:
        """Make these objects one."""
        with self.store.group("merge") as edit:
            kept = self.store.merge(ids)
        self.show_change(edit.change, f"Merged {self.text_of(ids)} into {kept}")

    def delete(self, ids: Sequence[int]) -> None:
        """Remove these objects."""
        self.show_change(self.store.delete(ids), f"Deleted {self.text_of(ids)}")

    def text_of(self, ids: Sequence[int]) -> str:
        """Objects of this plane by their ids, as people write it."""
        return objects_text(ids, self.noun)

    def undo(self, edit: int) -> bool:
        """Take an edit back; False if it is not the last one any more."""
        return self._show_walk(self.store.undo_if_last(edit))

    def redo(self, edit: int) -> bool:
        """Do an edit again that was taken back last; False if it is not the next one any more."""
        return self._show_walk(self.store.redo_if_next(edit))

    def undo_earlier(self) -> Change | None:
        """Take back the last edit, whoever made it and when."""
        change = self.store.undo()
        self._show_walk(change)
        return change

    def redo_earlier(self) -> Change | None:
        """Do again the edit that was taken back last, whoever did and when."""
        change = self.store.redo()
        self._show_walk(change)
        return change

    # -- places and objects ------------------------------------------------------------------

    def at(self, row: float, col: float) -> int:
        """The object at a level-0 position, 0 for none."""
        i, j = np.rint(self.area.to_array([[row, col]])[0]).astype(int)
        if not (0 <= i < self.area.shape[0] and 0 <= j < self.area.shape[1]):
            return 0
        return int(self._known[i, j])

    def choose(self, object_id: int) -> None:
        """Let painting extend this object; 0 lets each stroke make a new one."""
        self.chosen = object_id if self.store.area_of(object_id) else 0
        self._new_label()
        self.picked.emit(self.chosen)

    def show_change(self, change: Change | None, text: str, *, step: bool = True) -> None:
        """Show an edit that was made and tell of it; None changed nothing.

        Without `step` whoever made it sees to it that it can be taken back.
        """
        self._show(change)
        self.changed.emit(text)
        if change is not None and step:
            self.made.emit(change, f"{text[:1].lower()}{text[1:]}")

    # -- inner -------------------------------------------------------------------------------

    def _show_walk(self, change: Change | None) -> bool:
        if change is None:
            return False
        self._show(change)
        self.changed.emit("")
        return True

    def follow(self, change: Change) -> None:
        """Show a change that was made on either plane, and told by the other one's layer."""
        self._describe()
        self._refresh(change.box)
        self._let_go()

    def _show(self, change: Change | None) -> None:
        if change is not None:
            self.follow(change)
            self.shown.emit(change)
        else:
            self._let_go()

    def _let_go(self) -> None:
        """Paint anew if the object that was extended is gone."""
        if not self.store.area_of(self.chosen):
            self.chosen = 0
        self._new_label()

    def _new_label(self) -> None:
        """Show napari which label a stroke gets."""
        self._label = self.chosen or self.store.next_id()
        self.layer.selected_label = self._label

    def _on_label(self, _: object) -> None:
        """A label chosen with napari's own tools: an object that is there is extended."""
        label = int(self.layer.selected_label)
        if label != self._label:  # napari tells of the label also when colours change
            self._label = label
            self.chosen = label if self.store.area_of(label) else 0
            self.said.emit(self.painting)

    @property
    def painting(self) -> str:
        """What the next stroke does, in words."""
        if self.chosen:
            told = f"Painting extends {self.text_of([self.chosen])}"
            return f"{told}; Shift+click beside it for new ones."
        return f"Each stroke makes a new {self.noun}; Shift+click one to extend it."

    def _describe(self) -> None:
        """Colour objects by class, and let napari's status bar tell it."""
        classes = self.store.classes()
        shown = self.store.class_list()
        self.class_names = tuple(item.name for item in shown)
        held = self.layer.colormap
        serves = isinstance(held, ObjectColormap) and held.serves(shown)
        colours = held if serves else colormap_of(shown)
        colours.show(classes, self.class_name)
        if not serves:
            self.layer.colormap = colours
        told = [name or "no class" for name in classes.values()]
        self.layer.features = pd.DataFrame({"index": list(classes), "class": told})

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
        self._reread(box)
        self.layer.refresh()

    def _reread(self, box: Box) -> None:
        """Take what the store holds inside a level-0 box; it is drawn by who calls this."""
        part = box.intersection(self.area.box)
        scale = round(self.area.scale[0])
        inner = None if part is None else self.area.box_to_array(part.pad(scale)).to_pixels()
        inside = None if inner is None else inner.intersection(Box.of_shape(self.area.shape))
        if inside is not None:
            frame = Frame(self.area.box_to_slide(inside), inside.shape)
            fresh = self._read(frame)
            self._known[inside.slices()] = fresh
            self.layer.data[inside.slices()] = fresh

    def _take_edit(self) -> bool:
        """Keep what a finished stroke, fill or polygon changed."""
        data = np.asarray(self.layer.data)
        changed = Box.of_mask(data != self._known) if data.shape == self._known.shape else None
        if changed is None:
            return False
        where = changed.slices()
        before, after = self._known[where].copy(), data[where].copy()
        try:
            change = self._write(changed, after, after != before)
        except HistopromptError as error:
            self.layer.data[where] = before
            self.layer.refresh()
            self.failed.emit(told(error))
            return True
        if change is None:
            self.layer.data[where] = before
            self.layer.refresh()
            self.said.emit(
                "Nothing was painted: other objects keep their pixels. Choose the overlap rule "
                "that overwrites to paint over them."
            )
            return True
        # What the rule refused goes back to what it was; `show_change` draws it.
        self._reread(self.area.box_to_slide(changed))
        self.show_change(change, self._told(before, self._known[where]))
        return True

    def _write(
        self, box: Box, values: NDArray[np.int32], changed: NDArray[np.bool_]
    ) -> Change | None:
        """Write changed array pixels as the level-0 blocks they stand for."""
        new = [int(i) for i in np.unique(values[changed]) if i and not self.store.area_of(int(i))]
        op = "paint" if values[changed].any() else "erase"
        side = max(1, _PIECE // round(self.area.scale[0]))
        with self.store.group(op) as edit:
            for part in pieces(box, side):
                here = part.slices((box.r0, box.c0))
                if changed[here].any():
                    self._write_piece(part, values[here], changed[here], op)
            made = [i for i in new if self.store.area_of(i)]
            if made and self.class_name:
                self.store.set_class(made, self.class_name)
        return edit.change

    def _write_piece(
        self, box: Box, values: NDArray[np.int32], changed: NDArray[np.bool_], op: str
    ) -> None:
        scale = round(self.area.scale[0])
        level0 = self.area.box_to_slide(box).to_pixels().intersection(self.store.box)
        if level0 is None:
            return
        labels = self.store.read(level0)
        block = np.ones((scale, scale), np.int32)
        rows, cols = labels.shape
        big, hit = np.kron(values, block)[:rows, :cols], np.kron(changed, block)[:rows, :cols] > 0
        if self.rule == "keep":
            hit &= (labels == 0) | (big == 0)
        labels[hit] = big[hit]
        self.store.write(level0, labels, op=op, info=_BY_HAND)

    def _told(self, before: NDArray[np.int32], after: NDArray[np.int32]) -> str:
        """What a stroke did, and which objects it left in pieces."""
        hit = before != after
        painted = sorted({int(i) for i in np.unique(after[hit])} - {0})
        lost = sorted({int(i) for i in np.unique(before[hit])} - {0})
        if painted:
            text = f"Painted {self.text_of(painted)}"
        else:
            text = f"Erased from {self.text_of(lost)}" if lost else "Erased"
        pieces = {i: self.pieces(i) for i in lost[:6]}
        notes = [f"{self.noun} {i} has {n} parts now" for i, n in pieces.items() if n > 1]
        gone = [i for i in lost if not self.store.area_of(i)]
        notes += [f"nothing is left of {self.text_of(gone)}"] if gone else []
        return "; ".join([text, *notes])

    def pieces(self, object_id: int) -> int:
        """How many parts an object has, diagonal neighbours joined; 1 if it is too large."""
        box = self.store.box_of(object_id)
        if box is None or box.area > _COUNTED:
            return 1
        mine = self.store.read(box) == object_id
        return int(components(mine, np.zeros_like(mine)).max(initial=0))


def objects_text(ids: Sequence[int], noun: str = "object") -> str:
    """Objects by their ids, as people write it."""
    if len(ids) == 1:
        return f"{noun} {ids[0]}"
    return f"{len(ids)} {noun}s ({', '.join(map(str, ids[:6]))}{', ...' if len(ids) > 6 else ''})"
