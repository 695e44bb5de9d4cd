"""An import as a window does it: first a look at what would change, then the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.import_labels import (
    ImportResult,
    import_all,
    plane_for,
)
from histoprompt.pipelines.exchange.incoming import Incoming, read_incoming
from histoprompt.pipelines.exchange.into_count import CountPlan, plan_count
from histoprompt.pipelines.exchange.into_prompts import refined
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.exchange.planning import ImportPlan, plan_import
from histoprompt.pipelines.exchange.stacked import stacked
from histoprompt.pipelines.prompts.segment import SegmentJob

_MOST_SIDE = 4096


@dataclass(frozen=True, eq=False)
class ImportPreview:
    """What an import would do.

    Attributes
    ----------
    incoming : tuple of Incoming
        The objects of each file, outlined anew where that was asked for.
    params : ImportParams
    rows : tuple of (str, int)
        What would become of how many objects, in words.
    notes : tuple of str
        A line for each object that is left out or changed.
    picture : (h, w) int32
        All of them, coarse enough to be shown at once.
    frame : Frame
        Where the picture lies.
    counted : CountPlan or None
        What a count would be made of, if one is wanted.
    """

    incoming: tuple[Incoming, ...]
    params: ImportParams
    rows: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    picture: NDArray[np.int32]
    frame: Frame
    counted: CountPlan | None = None

    @property
    def told(self) -> str:
        """What was found in the files."""
        return "; ".join(
            f"{one.path.name}: {one.format.title}, {len(one.table) + one.points} objects"
            for one in self.incoming
        )


@dataclass(frozen=True, eq=False)
class ImportRequest:
    """What is to be imported.

    Attributes
    ----------
    files : tuple of Path
    params : ImportParams
    job : SegmentJob or None
        What outlines objects anew; needed to import prompts.
    """

    files: tuple[Path, ...]
    params: ImportParams
    job: SegmentJob | None = None


def look(slide: Slide, store: LabelStore, wish: ImportRequest, task: Task) -> ImportPreview:
    """Read files and work out what importing them would change; nothing is changed.

    Raises
    ------
    LabelError
        If a file cannot be read, or nothing of it can be imported.
    MissingMppError
        If a count is wanted and the slide has no pixel size.
    """
    params = wish.params
    found = [read_incoming(slide, path, task, params) for path in wish.files]
    if params.into == "prompts" and wish.job is not None:
        found = [refined(slide, one, wish.job, task) for one in found]
    for one in found:
        one.check(slide)
    counted: CountPlan | None = None
    if params.into == "count":
        counted = plan_count(slide, stacked(found, slide.shape, task))
        rows = [
            ("Cells of a new count", len(counted.cells.table)),
            ("In ignored areas", counted.ignored),
            ("Too wide", counted.wide),
        ]
    else:
        plane = plane_for(store, params.into)
        rows = _rows([plan_import(plane, one, task, params.rule) for one in found])
    rows += [
        ("Outside the slide", sum(one.outside for one in found)),
        ("Mended outlines", sum(one.repaired for one in found)),
        ("Left out", sum(len(one.problems) + one.points for one in found)),
    ]
    notes = tuple(n for one in found for n in (*one.notes, *one.problems, *one.remarks))
    picture, frame = _picture(slide, found)
    return ImportPreview(tuple(found), params, tuple(rows), notes, picture, frame, counted)


def carry_out(store: LabelStore, preview: ImportPreview, task: Task) -> ImportResult:
    """Import into labels what was looked at, as one edit. Raises as `import_all`."""
    plane = plane_for(store, preview.params.into)
    return import_all(plane, preview.incoming, task, preview.params.rule)


def _rows(plans: Sequence[ImportPlan]) -> list[tuple[str, int]]:
    found: Counter[str] = Counter()
    for plan in (plane for one in plans for plane in one.planes):
        found["Added"] += len(plan.added)
        found["Changed"] += len(plan.changed)
        found["Removed"] += len(plan.removed)
        found["As they are"] += len(plan.same)
        found["Overlapping"] += plan.overlapping
    return list(found.items())


def _picture(slide: Slide, found: Sequence[Incoming]) -> tuple[NDArray[np.int32], Frame]:
    """Every k-th pixel of all objects, numbered on from file to file."""
    step = max(1, -(-max(slide.shape) // _MOST_SIDE))
    rows, cols = (-(-n // step) for n in slide.shape)
    out = np.zeros((rows, cols), np.int32)
    both = [part for one in found for part in (one.regions, one) if part is not None]
    for number, one in enumerate(both):
        for box in one.labels.filled_boxes():
            r0, c0 = (-(-int(v) // step) for v in (box.r0, box.c0))
            ids = one.labels.read(box)
            part = ids[r0 * step - int(box.r0) :: step, c0 * step - int(box.c0) :: step]
            h, w = part.shape
            shown = (part.astype(np.int64) % (2**30)).astype(np.int32) + number
            window = out[r0 : r0 + h, c0 : c0 + w]
            np.copyto(window, shown, where=part > 0)
    return out, Frame(Box(0, 0, rows * step, cols * step), (rows, cols))
