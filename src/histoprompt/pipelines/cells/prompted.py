"""Cells by a model that takes prompts: another model proposes, masks that coincide are one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.geometry import Box
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.pipelines.cells.find import ModelCells, TileCells
from histoprompt.pipelines.cells.tile_context import HALO_UM
from histoprompt.pipelines.prompts.fields import fixed_fields
from histoprompt.pipelines.prompts.segment import SegmentJob, segment_stream

# Raise it when the same proposals become other cells: counts do not go on then.
ALGORITHM = 1
# Two masks are one cell if their common part is more than this share of the smaller one.
SAME = 0.5
# A mask this many times larger than its proposal is the tissue around it.
LARGEST = 4.0
_CACHE_BYTES = 256 << 20


@dataclass(eq=False)
class PromptedCells:
    """Cells by a prompt segmenter; a `find_cells.CellSource`.

    Parameters
    ----------
    card : ModelCard
        Of the role ``prompt``. It is given boxes if it takes them, else clicks.
    proposer : ModelCells
        Finds what is to be outlined.
    weights : Path, optional
        The user's own, for `card`.
    """

    card: ModelCard
    proposer: ModelCells
    weights: Path | None = None
    feature_names: tuple[str, ...] = ()
    _cache: EmbeddingCache = field(default_factory=lambda: EmbeddingCache(_CACHE_BYTES))

    def find(self, slide: Slide, inner: Box, task: Task) -> TileCells:
        """All cells in and around a tile, in level-0 pixels."""
        around = _around(slide, inner)
        proposed = self.proposer.find(slide, inner, task)
        assert slide.mpp is not None
        asked = _proposals(proposed, inner.pad(HALO_UM / slide.mpp), slide.box)
        objects = [ObjectPrompt(i, self._prompt(box)) for i, (box, _) in enumerate(asked)]
        job = SegmentJob(self.proposer.manager, self._cache, self.card, self.weights)
        masks: dict[int, Mask] = {}
        stream = segment_stream(slide, objects, job, task.quiet(), plan=fixed_fields)
        for index, found in stream:
            best = found.masks[0]
            if 0 < best.array.sum() <= LARGEST * asked[index][1]:
                masks[index] = best
        labels = painted([masks[i] for i in sorted(masks)], around)
        image, frame = slide.read(around)
        return TileCells.of(image, labels, frame)

    def picture(self, slide: Slide, inner: Box) -> NDArray[np.uint8]:
        """What cells of a tile are measured on."""
        return slide.read(_around(slide, inner))[0]

    def _prompt(self, box: Box) -> Prompt:
        if "box" in self.card.accepts:
            return Prompt.of_box(box)
        return Prompt.of_points([list(box.centre)])


def _around(slide: Slide, inner: Box) -> Box:
    """What is read of a slide for a tile."""
    assert slide.mpp is not None
    around = inner.pad(round(2 * HALO_UM / slide.mpp)).intersection(slide.box)
    assert around is not None
    return around


def painted(masks: Sequence[Mask], box: Box) -> NDArray[np.int32]:
    """Level-0 masks as labels of a box, (h, w) int32 without gaps.

    The best are drawn first; a later mask that mostly coincides with one of them is left out, and
    gives way where they overlap.
    """
    labels = np.zeros(box.shape, np.int32)
    areas: list[int] = []
    for mask in sorted(masks, key=lambda m: (-(m.score or 0.0), m.frame.box)):
        inside = mask.frame.box.intersection(box)
        if inside is None:
            continue
        part = mask.array[inside.slices((mask.frame.box.r0, mask.frame.box.c0))]
        view = labels[inside.slices((box.r0, box.c0))]
        if not part.any() or _coincides(part, view, areas):
            continue
        view[part & (view == 0)] = len(areas) + 1
        areas.append(int(part.sum()))
    present = np.unique(labels)
    return np.searchsorted(present[present > 0], labels, side="right").astype(np.int32)


def _coincides(part: NDArray[np.bool_], view: NDArray[np.int32], areas: Sequence[int]) -> bool:
    """Whether a mask is mostly one that was drawn, or the other way round."""
    values, common = np.unique(view[part], return_counts=True)
    size = int(part.sum())
    return any(
        value and n > SAME * min(size, areas[value - 1])
        for value, n in zip(values.tolist(), common.tolist(), strict=True)
    )


def _proposals(found: TileCells, near: Box, bounds: Box) -> list[tuple[Box, float]]:
    """Level-0 boxes and areas of the proposals whose centroid lies near a tile."""
    pixels = np.bincount(found.labels.ravel(), minlength=len(found) + 1)[1:]
    areas = pixels * float(np.prod(found.frame.scale))
    out: list[tuple[Box, float]] = []
    for where, at, area in zip(
        ndi.find_objects(found.labels, len(found)), found.centroids, areas, strict=True
    ):
        if where is None or not near.contains(*at):
            continue
        rows, cols = where
        box = Box(rows.start, cols.start, rows.stop, cols.stop)
        inside = found.frame.box_to_slide(box).intersection(bounds)
        if inside is not None:
            out.append((inside, float(area)))
    return out
