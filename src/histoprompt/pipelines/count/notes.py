"""What a reader of a count should know of the slide and of the model that counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import Cancelled
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Note, Task
from histoprompt.models.roles import SteppedSegmenter, TrainingAware
from histoprompt.pipelines.cells.find import CellSource, ModelCells
from histoprompt.pipelines.cells.tile_context import scale_of
from histoprompt.pipelines.count.region import CountRegion

# Fields that a model is asked about before a count, and their side in its pixels.
_FIELDS, _FIELD_PX = 12, 256
# Places tried for them, along the longer side.
_GRID = 24


def told_before(
    notes: Sequence[str], look: Callable[[], Sequence[str]], task: Task
) -> tuple[str, ...]:
    """Tell of a count, before any cell is counted, what is known by then.

    Parameters
    ----------
    notes : sequence of str
        What is known already.
    look : callable
        Looks for more, with a model; not called for if the task is cancelled meanwhile.
    task : Task
        Told of each note.
    """
    for note in notes:
        task.tell(Note(note))
    more: Sequence[str] = ()
    with suppress(Cancelled):  # the count itself ends at once, with what was counted before
        more = look()
    for note in more:
        task.tell(Note(note))
    return (*notes, *more)


def unlike_notes(
    slide: Slide, ground: CountRegion, source: CellSource | None, task: Task
) -> tuple[str, ...]:
    """Whether a slide looks unlike the tiles that the model compares with.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    ground : CountRegion
        What is counted.
    source : CellSource or None
        Finds the cells; only some models know what they have learnt from.
    task : Task
        Cancels while the model is loaded, and before each field.
    """
    fields = _fields(slide, ground, source) if isinstance(source, ModelCells) else []
    if not fields or not isinstance(source, ModelCells):
        return ()
    with source.manager.lease(source.card, task.aside(), source.weights) as model:
        asked = model.stepping(task.repeat) if isinstance(model, SteppedSegmenter) else model
        found = asked.strangeness(fields) if isinstance(asked, TrainingAware) else None
    if found is None or np.median(found) <= 1:
        return ()
    return (
        "The slide differs from the tiles with outlines that the model learnt from "
        f"({float(np.median(found)):.1f} times as far as nearly all of these, in "
        f"{int((found > 1).sum())} of {len(found):,} places): in stain, sharpness, scale or "
        "tissue. Look at some cells, or audit the count, before you rely on it.",
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
