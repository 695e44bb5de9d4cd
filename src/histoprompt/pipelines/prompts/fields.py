"""Which part of the slide a model looks at for which object.

A prompt model sees a square *field*. Fields lie on a fixed grid, so that a second click nearby and
five hundred boxes on one tile meet the same few fields and share their embeddings. Larger objects
get fields of twice, four times ... the side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard

# An object keeps this share of the field's side as context on every side, where the slide has it.
MARGIN = 0.06


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One field and the objects it serves.

    Attributes
    ----------
    frame : Frame
        The level-0 square and the array shape it is read at.
    members : tuple of int
        Indices of the objects.
    """

    frame: Frame
    members: tuple[int, ...]


def plan_fields(
    slide: Slide,
    card: ModelCard,
    extents: Sequence[Box],
    is_ready: Callable[[Frame], bool] = lambda _: False,
) -> list[FieldPlan]:
    """Choose as few fields as hold every object with some context around it.

    Parameters
    ----------
    slide : Slide
        Gives bounds and mpp.
    card : ModelCard
        Gives the side of the smallest field and the share of it an object may take.
    extents : sequence of Box
        What is known of each object's place, level-0 pixels, inside the slide.
    is_ready : callable
        Whether a field's embedding exists already; such fields are taken first.

    Returns
    -------
    list of FieldPlan
        Each index of `extents` in exactly one of them.
    """
    by_side: dict[int, list[int]] = defaultdict(list)
    for index, extent in enumerate(extents):
        by_side[field_side(slide, card, extent)].append(index)
    plans: list[FieldPlan] = []
    for side, members in sorted(by_side.items()):
        plans += _cover(slide, card, side, {i: extents[i] for i in members}, is_ready)
    return plans


def fixed_fields(
    slide: Slide,
    card: ModelCard,
    extents: Sequence[Box],
    is_ready: Callable[[Frame], bool] = lambda _: False,
) -> list[FieldPlan]:
    """As `plan_fields`, but the field of an object does not depend on the other objects.

    More fields are looked at; in return an object is outlined alike whichever others are asked for.
    """
    members: dict[Box, list[int]] = defaultdict(list)
    for index, extent in enumerate(extents):
        side = field_side(slide, card, extent)
        fields = _candidates(slide.box, side, extent)
        members[min(fields, key=lambda box: (_offset(box, extent), box))].append(index)
    return [FieldPlan(_frame(box, card.input_size), tuple(m)) for box, m in members.items()]


def field_side(slide: Slide, card: ModelCard, extent: Box) -> int:
    """Side in level-0 pixels of the field an object of this extent needs."""
    scale = card.mpp / slide.mpp if card.mpp and slide.mpp else 1.0
    side = max(16, round(card.crop_px * scale))
    while max(extent.height, extent.width) > card.max_fill * side and side < max(slide.shape):
        side *= 2
    return side


def _cover(
    slide: Slide,
    card: ModelCard,
    side: int,
    extents: dict[int, Box],
    is_ready: Callable[[Frame], bool],
) -> list[FieldPlan]:
    """Greedy set cover: ready fields first, then what serves most, then what is best centred.

    The worth of a field only falls as objects are taken, so the queue is mended lazily.
    """
    candidates: dict[Box, list[int]] = defaultdict(list)
    for index, extent in extents.items():
        for box in _candidates(slide.box, side, extent):
            candidates[box].append(index)
    frames = {box: _frame(box, card.input_size) for box in candidates}
    ready = {box: is_ready(frame) for box, frame in frames.items()}
    open_ = set(extents)

    def rank(box: Box) -> tuple[bool, int, float, Box]:
        serves = [i for i in candidates[box] if i in open_]
        offset = sum(_offset(box, extents[i]) for i in serves)
        return not (ready[box] and serves), -len(serves), offset, box

    queue = [rank(box) for box in candidates]
    heapify(queue)
    plans: list[FieldPlan] = []
    while open_:
        box = queue[0][-1]
        current = rank(box)
        if current > heapreplace(queue, current):
            continue
        members = tuple(i for i in candidates[box] if i in open_)
        plans.append(FieldPlan(frames[box], members))
        open_ -= set(members)
    return plans


def _candidates(bounds: Box, side: int, extent: Box) -> list[Box]:
    """Fields of a fixed grid that hold the extent; one around it if none does.

    Small objects fit the overlap of a sparse grid, larger ones need fields that overlap by half.
    """
    small = max(extent.height, extent.width) + 2 * MARGIN * side <= side / 4
    stride = max(1, side * 3 // 4 if small else side // 2)
    wanted = extent.pad(MARGIN * side).intersection(bounds) or extent
    row, col = extent.centre
    near = [
        Box(r, c, r + side, c + side).shift_inside(bounds)
        for r in _starts(row, side, stride)
        for c in _starts(col, side, stride)
    ]
    unique = list(dict.fromkeys(near))
    holding = [b for b in unique if b.covers(wanted)] or [b for b in unique if b.covers(extent)]
    return holding or [Box.around(row, col, side).to_pixels().shift_inside(bounds)]


def _starts(position: float, side: int, stride: int) -> list[int]:
    first = int((position - side) // stride) * stride
    return [s for s in range(first, int(position) + stride, stride) if s <= position < s + side]


def _frame(box: Box, input_size: int) -> Frame:
    """Read at level-0 resolution, or coarser when the network would shrink the field anyway."""
    rows, cols = box.shape
    shrink = max(1.0, max(rows, cols) / input_size) if input_size else 1.0
    return Frame(box, (max(1, round(rows / shrink)), max(1, round(cols / shrink))))


def _offset(field: Box, extent: Box) -> float:
    (r, c), (fr, fc) = extent.centre, field.centre
    return max(abs(r - fr), abs(c - fc)) / field.height
