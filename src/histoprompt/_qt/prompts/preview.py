"""The object in hand: what the model answered, shown and editable until it is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.edits import EditWatcher
from histoprompt._qt.shell.shortcuts import spelled
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask, mean_score
from histoprompt.pipelines.objects.refine import repainted
from histoprompt.pipelines.prompts.segment import ObjectMasks

USED_BOX = "box_used"


@dataclass(frozen=True, eq=False)
class ShownMask:
    """What was shown at one moment.

    Attributes
    ----------
    found : tuple of ObjectMasks
        The answers.
    candidate : int
        Which mask of a single one.
    painted : (n,) int32 or None
        Indices of the array's pixels that the user left in place of it; None if it was not touched.
    """

    found: tuple[ObjectMasks, ...] = ()
    candidate: int = 0
    painted: NDArray[np.int32] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was shown."""
        return not self.found and self.painted is None


class MaskPreview:
    """Candidate masks drawn over the work area, and the boxes that prompts were turned into.

    Attributes
    ----------
    layer : Labels
        1 inside the object or objects in hand. The user may paint into it.
    is_sketch : bool
        What is shown is the answer to a prompt that is still being drawn.
    painted : Signal(Shown, ShownMask)
        The user did: what was shown before and after.
    """

    painted = Signal(ShownMask, ShownMask)

    def __init__(self, viewer: ViewerModel, image: Image, area: Frame) -> None:
        self._viewer, self._image, self._area = viewer, image, area
        self._found: list[ObjectMasks] = []
        self._candidate = 0
        self._answers: list[ObjectMasks] = []
        self.is_sketch = False
        self.layer: Labels = layers.make_current(image, area)
        self._shown: NDArray[np.uint8] = self.layer.data.copy()
        self._last = ShownMask()
        viewer.add_layer(self.layer)
        self._watcher = EditWatcher(self.layer, self._take_painting)
        self.used_box: Shapes | None = None

    @property
    def own_layers(self) -> list[Layer]:
        """The layers made here."""
        return [self.layer] if self.used_box is None else [self.layer, self.used_box]

    @property
    def shown(self) -> bool:
        """Whether there is an object that could be committed."""
        return bool(np.any(self.layer.data))

    @property
    def objects(self) -> int:
        """How many objects the model answered for."""
        return len(self._found)

    @property
    def candidates(self) -> int:
        """How many masks the model offers for a single object in hand."""
        return len(self._found[0].masks) if len(self._found) == 1 else 0

    @property
    def masks(self) -> list[Mask]:
        """The mask shown of each object, as the model made it."""
        if len(self._found) == 1:
            return [self._found[0].masks[self._candidate]]
        return [item.masks[0] for item in self._found]

    @property
    def answers(self) -> list[ObjectMasks]:
        """What was answered to finished prompts last; the mask that was chosen comes first."""
        if self.is_sketch or len(self._found) != 1:
            return self._answers
        (item,) = self._found
        return [replace(item, masks=(item.masks[self._candidate], *item.masks))]

    @property
    def score(self) -> float | None:
        """The mean IoU the model expects of what is shown, where it says."""
        return mean_score(self.masks)

    @property
    def state(self) -> ShownMask:
        """What is shown now, to be put back by `put`; a drawing's answer is nothing to keep."""
        if self.is_sketch:
            return ShownMask()
        data = np.asarray(self.layer.data)
        touched = not np.array_equal(data, self._shown)
        painted = np.flatnonzero(data).astype(np.int32) if touched else None
        return ShownMask(tuple(self._found), self._candidate, painted)

    def put(self, state: ShownMask) -> None:
        """Show what was shown once; what was painted must be of the present work area."""
        self._found, self._candidate, self.is_sketch = list(state.found), state.candidate, False
        self._answers = self.answers if len(self._found) == 1 else list(state.found)
        self._draw()
        if state.painted is not None:
            self.layer.data[...] = 0
            self.layer.data.reshape(-1)[state.painted] = 1
            self._last = state
            self.layer.refresh()
        self._draw_used_boxes()

    def show(self, found: Sequence[ObjectMasks]) -> None:
        """Draw the best mask of each object; an empty sequence clears."""
        self._found, self._candidate, self.is_sketch = list(found), 0, False
        self._answers = list(found)
        self._draw()
        self._draw_used_boxes()

    def sketch(self, found: Sequence[ObjectMasks]) -> None:
        """Draw what a prompt in the making gives; the box it is turned into is shown later."""
        self._answers = self.answers
        self._found, self._candidate, self.is_sketch = list(found), 0, True
        self._draw()

    def next(self) -> str:
        """Draw the next candidate of a single object; says which it is."""
        self._candidate = (self._candidate + 1) % max(1, self.candidates)
        self._draw()
        return f"Mask {self._candidate + 1} of {self.candidates}"

    def describe(self) -> str:
        """What the user can do with what is shown, and what there is to know about it."""
        notes = sorted({item.note for item in self._found if item.note})
        empty = sum(item.masks[0].empty for item in self._found)
        if empty:
            notes.append(f"{empty} of {len(self._found):,} objects came out empty")
        score = self.score
        estimate = "" if score is None else f" (the model trusts its outline by {score:.0%})"
        return " ".join([f"Press {spelled('{commit}')} to commit{estimate}.", *notes])

    def final_masks(self, bounds: Box) -> list[Mask]:
        """What is to be kept: the masks shown, or what the user painted in their place."""
        data = np.asarray(self.layer.data)
        if np.array_equal(data, self._shown):
            return [mask for mask in self.masks if not mask.empty]
        painted = Mask(data == 1, self._area).at_level0(bounds)
        if len(self._found) == 1 and not self.masks[0].empty:
            painted = repainted(self.masks[0], painted, self._area)
        return [] if painted.empty else [painted]

    def move(self, area: Frame) -> None:
        """Serve another work area, empty."""
        self._area = area
        self._found = self._answers = []
        self.layer.data = np.zeros(area.shape, np.uint8)
        self._draw()
        layers.move(self.layer, self._image, area)

    def _take_painting(self) -> bool:
        before, now = self._last, self.state
        if _same(before.painted, now.painted):
            return False
        self._last = now
        self.painted.emit(before, now)
        return True

    def _draw(self) -> None:
        data = self.layer.data
        data[...] = 0
        for mask in self.masks:
            _paste(mask, self._area, data)
        self._shown = data.copy()
        self._last = ShownMask(tuple(self._found), self._candidate)
        self.layer.refresh()

    def _draw_used_boxes(self) -> None:
        """Show the boxes that clicks and scribbles were turned into."""
        boxes = [item.used.box for item in self._found if item.note and item.used.box]
        if not boxes and self.used_box is None:
            return
        layer = self._used_box_layer()
        layer.data = []
        if boxes:
            layer.add_rectangles([layers.box_vertices(box) for box in boxes])
        layer.editable = False

    def _used_box_layer(self) -> Shapes:
        """The layer for used boxes, made at first need, and anew if the user removed it."""
        if self.used_box is None or self.used_box not in self._viewer.layers:
            self.used_box = Shapes(
                ndim=2,
                name=USED_BOX,
                edge_color="#ff9f0a",
                edge_width=1,
                face_color="transparent",
                metadata=layers.provenance(kind="preview"),
                **layers.transform_of(self._image),
            )
            active = self._viewer.layers.selection.active
            self._viewer.add_layer(self.used_box)
            self._viewer.layers.selection.active = active
        return self.used_box


def _same(a: NDArray[np.int32] | None, b: NDArray[np.int32] | None) -> bool:
    return a is b is None or (a is not None and b is not None and np.array_equal(a, b))


def _paste(mask: Mask, area: Frame, out: NDArray[np.uint8]) -> None:
    """Draw a mask into an array that lies at `area`, as 1."""
    part = mask.frame.box.intersection(area.box)
    target = None if part is None else area.box_to_array(part).to_pixels()
    inside = None if target is None else target.intersection(Box.of_shape(area.shape))
    if inside is not None:
        frame = Frame(area.box_to_slide(inside), inside.shape)
        out[inside.slices()][mask.sample(frame)] = 1
