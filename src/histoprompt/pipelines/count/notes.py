"""What a reader of a count should know of the slide and of the model that counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.roles import TrainingAware
from histoprompt.pipelines.cells.find import CellSource, ModelCells
from histoprompt.pipelines.cells.tile_context import scale_of
from histoprompt.pipelines.count.region import CountRegion

# Models that learnt nuclei on H&E.
_LEARNT_ON_HE = (registry.DEFAULT_CELLS,)
# Fields that a model is asked about before a count, and their side in its pixels.
_FIELDS, _FIELD_PX = 12, 256
# Places tried for them, along the longer side.
_GRID = 24


def stain_notes(dyes: StainMatrix, segmenter: str) -> tuple[str, ...]:
    """Whether a model is used on a stain that it did not learn.

    Parameters
    ----------
    dyes : StainMatrix
        Of the slide.
    segmenter : str
        Id of the model that found the cells.
    """
    if dyes.stain != "H-DAB" or segmenter not in _LEARNT_ON_HE:
        return ()
    return (
        "The slide looks like an immunostain (brown DAB), and the model learnt nuclei on H&E: it "
        "misses dark brown nuclei or covers half of them, so the share of positive cells comes out "
        "too low. Audit the count, or compare it with one by classical-cells.",
    )


def unlike_notes(
    slide: Slide, ground: CountRegion, source: CellSource | None, task: Task
) -> tuple[str, ...]:
    """Whether a slide looks unlike all that the model has learnt from.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    ground : CountRegion
        What is counted.
    source : CellSource or None
        Finds the cells; only some models know what they have learnt from.
    task : Task
        Cancels while the model is loaded.
    """
    fields = _fields(slide, ground, source) if isinstance(source, ModelCells) else []
    if not fields or not isinstance(source, ModelCells):
        return ()
    with source.manager.lease(source.card, task.aside(), source.weights) as model:
        found = model.strangeness(fields) if isinstance(model, TrainingAware) else None
    if found is None or np.median(found) <= 1:
        return ()
    return (
        f"The slide looks unlike all that the model has learnt from, in {int((found > 1).sum())} "
        f"of {len(found)} places that were looked at ({float(np.median(found)):.1f} times as far "
        "from it as hardly any of that is): stain, sharpness, magnification or tissue differ. "
        "Audit the count before you believe it.",
    )


def _fields(slide: Slide, ground: CountRegion, source: ModelCells) -> list[NDArray[np.uint8]]:
    """Some fields of what is counted, spread evenly, at the model's scale."""
    assert slide.mpp is not None
    side = _FIELD_PX / scale_of(source.card, slide.mpp)
    inside = ground.box.intersection(slide.box)
    if inside is None or min(slide.shape) < side:
        return []
    step = max(side, max(inside.shape) / _GRID)
    rows, cols = (
        _spread(low, high, step) for low, high in ((inside.r0, inside.r1), (inside.c0, inside.c1))
    )
    centres = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
    centres = centres[ground.counts(centres)]
    chosen = np.unique(np.linspace(0, len(centres) - 1, _FIELDS).round().astype(int))
    fields = []
    for r, c in centres[chosen if len(centres) else []].tolist():
        box = Box.around(r, c, side).shift_inside(slide.box)
        fields.append(slide.read(box, (_FIELD_PX, _FIELD_PX))[0])
    return fields


def _spread(low: float, high: float, step: float) -> NDArray[np.float64]:
    """Middles of equal parts of an interval, each about as long as a step."""
    parts = max(1, round((high - low) / step))
    return low + (np.arange(parts) + 0.5) * (high - low) / parts
