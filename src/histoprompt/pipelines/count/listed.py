"""The counts that are kept of slides as a list: where, by what, how many cells, which classes.

Classes that were taught on one of them are had again for another.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.files.documents import FEW_BYTES, read_json
from histoprompt.core.task import Task
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.labelling import FILE as LABELS
from histoprompt.pipelines.classes.labelling import read_labelling
from histoprompt.pipelines.classes.lesson import learn
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.audit import FILE as AUDIT
from histoprompt.pipelines.count.run import UNFINISHED
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import SETTINGS
from histoprompt.pipelines.count.stored import StoredCount, stored_by_slide
from histoprompt.pipelines.count.tile_log import Done

# Of the end of a log: its last line is no longer than this.
_LINE = 1 << 16


@dataclass(frozen=True)
class ListedCount:
    """A kept count and what there is to say of it.

    Attributes
    ----------
    stored : StoredCount
    slide : str
        The key of its slide.
    cells : int
        That were counted so far.
    classes : tuple of str
        That a person taught on its cells, those with examples.
    audited : bool
    """

    stored: StoredCount
    slide: str
    cells: int
    classes: tuple[str, ...]
    audited: bool

    @property
    def where(self) -> str:
        """Its region in words."""
        if self.stored.regions:
            return ", ".join(self.stored.regions)
        if not self.stored.chosen:
            return "whole slide"
        return ",".join(str(int(v)) for v in self.stored.box)


def listed_counts(slide: str) -> list[ListedCount]:
    """The counts that are kept of a slide, by its key, the newest first."""
    return [listed(slide, one) for one in stored_by_slide().get(slide, [])]


def taught_counts(but: Path | None = None) -> list[ListedCount]:
    """The counts of any slide on whose cells two classes or more were taught, the newest first.

    `but` is the folder of one that is left out.
    """
    there = [(key, one) for key, found in stored_by_slide().items() for one in found]
    told = [listed(key, one) for key, one in there if one.folder != but and _labels(one)]
    return sorted((t for t in told if len(t.classes) > 1), key=lambda t: -t.stored.made)


def listed(slide: str, stored: StoredCount) -> ListedCount:
    """What there is to say of a kept count of a slide."""
    return ListedCount(
        stored, slide, _cells(stored), _labels(stored), (stored.folder / AUDIT).is_file()
    )


def taught_classifier(stored: StoredCount, task: Task) -> FewShotClassifier:
    """What the labels given to the cells of a count teach.

    Raises
    ------
    LabelError
        If the count or its labels are damaged, or they are too few.
    ExportError
        If the count is worked on in another window.
    """
    place = stored.folder / UNFINISHED
    raw: dict[str, Any] = read_json(place / SETTINGS, LabelError, FEW_BYTES)
    with CountStore(place, stored.box, raw) as store:
        cells = store.table()
    given = read_labelling(stored.folder / LABELS, cells).of_cells(cells)
    return learn(cells, None, TrainParams(), given.review, task=task).fit.classifier


def _cells(stored: StoredCount) -> int:
    """How many the last finished tile tells; 0 where nothing is finished or it is damaged."""
    try:
        with (stored.folder / UNFINISHED / "tiles.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LINE))
            lines: Sequence[bytes] = file.read().split(b"\n")[:-1]
        return Done.from_line(lines[-1]).cells if lines else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _labels(stored: StoredCount) -> tuple[str, ...]:
    path = stored.folder / LABELS
    if not path.is_file():
        return ()
    try:
        raw = read_json(path)
        given = set(raw["labels"].values())
        return tuple(str(name) for name in raw["classes"] if name in given)
    except (HistopromptError, KeyError, TypeError, AttributeError):
        return ()
