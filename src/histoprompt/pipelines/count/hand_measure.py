"""Cells that a person made, measured and classified as those that were counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNCLASSIFIED
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.labels.regrid import regrid
from histoprompt.core.results import Mask
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.roles import MaskDescriber
from histoprompt.pipelines.cells.features import FEATURE_NAMES, RING_UM, measure, with_areas
from histoprompt.pipelines.cells.find import ModelCells, pixels_on_slide
from histoprompt.pipelines.cells.intensities import intensities, measured_names
from histoprompt.pipelines.cells.tile_context import frame_around, read_frame
from histoprompt.pipelines.count.hand_work import HandCell
from histoprompt.pipelines.count.kept import KeptCount

# Masks that lie together in such a square, level-0 pixels, are measured at once.
_SQUARE = 1024


def measured(
    work: KeptCount, masks: Sequence[Mask], gone: Iterable[int], task: Task
) -> list[HandCell]:
    """Cells of these masks, in their order; their ids are given when they are kept.

    Parameters
    ----------
    work : KeptCount
        A finished count.
    masks : sequence of Mask
        Level-0 pixels, cropped, on the slide; they share no pixel with each other.
    gone : iterable of int
        Cells that will not be there any more.
    task : Task
        Told of every square of the slide that is looked at.
    """
    away = np.array(sorted(gone), np.uint32)
    found: dict[int, HandCell] = {}
    squares = list(_together(masks))
    for done, members in enumerate(squares):
        task.step(done, len(squares), "Measuring cells")
        features = _features(work, [masks[i] for i in members], away, task)
        cells = _classified(work, [masks[i] for i in members], features)
        found |= dict(zip(members, cells, strict=True))
    return [found[i] for i in range(len(masks))]


def centroid(mask: Mask) -> tuple[float, float]:
    """The middle of the pixels of a mask, level-0 (row, col)."""
    row, col = mask.frame.to_slide(np.argwhere(mask.array).mean(axis=0)[None])[0].tolist()
    return row, col


def _together(masks: Sequence[Mask]) -> Iterator[list[int]]:
    """Numbers of masks, those of one square at a time."""
    squares: dict[tuple[int, int], list[int]] = {}
    for number, mask in enumerate(masks):
        row, col = mask.frame.box.centre
        squares.setdefault((int(row // _SQUARE), int(col // _SQUARE)), []).append(number)
    yield from squares.values()


def _classified(
    work: KeptCount, masks: Sequence[Mask], features: NDArray[np.float32]
) -> Iterator[HandCell]:
    """Cells with the classes that the classifier of the count gives them, if it had one."""
    names, mpp = [UNCLASSIFIED] * len(masks), work.slide.mpp or np.nan
    scores = np.full(len(masks), np.nan)
    if work.job.classifier is not None:
        columns = work.progress.store.head.names or measured_names(work.slide)
        classes, code, given = work.job.classifier.classify(features, columns)
        names, scores = [classes[c] for c in code], given.astype(float)
    for i, mask in enumerate(masks):
        area = float(mask.array.sum()) * mpp**2
        yield HandCell(0, *centroid(mask), area, mask, features[i], names[i], float(scores[i]))


def _features(
    work: KeptCount, masks: Sequence[Mask], gone: NDArray[np.uint32], task: Task
) -> NDArray[np.float32]:
    """(n, k) features in the order of the count's own."""
    slide, own = work.slide, measured_names(work.slide)
    names = work.progress.store.head.names or own
    box = union_of(mask.frame.box for mask in masks)
    frame = _frame(work, box)
    image = read_frame(slide, frame)
    labels = _labels(work, masks, gone, frame)
    out = np.full((len(masks), len(names)), np.nan, np.float32)
    near = _cropped(frame, box.pad(4 * RING_UM / (slide.mpp or 1.0)), slide.box)
    part = np.ascontiguousarray(labels[near.slices()])
    scale = (slide.mpp or 1.0) * frame.scale[0]
    rows = measure(np.ascontiguousarray(image[near.slices()]), part, scale, work.dyes)
    there = min(len(rows), len(masks))
    out[:there, : len(FEATURE_NAMES)] = rows[:there]
    out = with_areas(out, np.array([mask.array.sum() for mask in masks]) * (slide.mpp or 1.0) ** 2)
    for number, mask in enumerate(masks if slide.channels else ()):
        level0, place = mask.array.astype(np.int32), mask.frame.box.to_pixels()
        bright = intensities(slide.channels, level0, place, 1)
        out[number, len(FEATURE_NAMES) : len(own)] = bright[0]
    if len(names) > len(own):
        seen = _described(work, image, labels, len(masks), task)
        if seen.shape[1] == len(names) - len(own):
            out[: len(seen), len(own) :] = seen
    return out


def _frame(work: KeptCount, box: Box) -> Frame:
    """What a count looks at around a box, on the pixels on which it measures cells."""
    segmenter = work.job.settings.get("segmenter")  # none of ours where cells were imported
    card = next((one for one in registry.all_cards() if one.id == segmenter), None)
    if card is not None and card.role == "cells":
        return frame_around(box, work.slide, card)
    outer = box.pad(4 * RING_UM / (work.slide.mpp or 1.0)).to_pixels().intersection(work.slide.box)
    assert outer is not None
    return Frame(outer, outer.shape)


def _labels(
    work: KeptCount, masks: Sequence[Mask], gone: NDArray[np.uint32], frame: Frame
) -> NDArray[np.int32]:
    """Masks as 1 to n on the pixels of a frame, and beyond these the other cells around."""
    around = frame.box.to_pixels().intersection(work.ground.box)
    boxes = [mask.frame.box for mask in masks]
    whole = union_of([*boxes, around] if around is not None else boxes)
    level0 = np.zeros(whole.shape, np.int64)
    corner = (whole.r0, whole.c0)
    if around is not None:
        others = work.progress.store.read(around)
        others = np.where(np.isin(others, gone), 0, others)
        present, inverse = np.unique(others, return_inverse=True)
        numbers = np.arange(len(present)) + len(masks) + (present[0] != 0)
        numbers[present == 0] = 0
        level0[around.slices(corner)] = numbers[inverse].reshape(others.shape)
    for number, mask in enumerate(masks, start=1):
        level0[mask.frame.box.slices(corner)][mask.array] = number
    return regrid(level0.astype(np.int32), Frame(whole, whole.shape), frame)


def _cropped(frame: Frame, box: Box, bounds: Box) -> Box:
    """The pixels of a frame around a box that lie on the slide, where cells are measured."""
    (r0, r1), (c0, c1) = (pixels_on_slide(frame, bounds, axis) for axis in (0, 1))
    inside = frame.box_to_array(box).to_pixels().intersection(Box(r0, c0, r1, c1))
    assert inside is not None
    return inside


def _described(
    work: KeptCount, image: NDArray[np.uint8], labels: NDArray[np.int32], count: int, task: Task
) -> NDArray[np.float32]:
    """What the model's encoder saw of the first labels; nothing where it does not tell."""
    source = work.job.source
    nothing = np.zeros((0, 0), np.float32)
    if not isinstance(source, ModelCells):
        return nothing
    with source.manager.lease(source.card, task.aside(), source.weights) as model:
        if not isinstance(model, MaskDescriber):
            return nothing
        return model.describe(image, np.where(labels <= count, labels, 0).astype(np.int32))
