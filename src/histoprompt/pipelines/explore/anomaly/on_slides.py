"""Tiles unlike a reference over slides that are indexed now, and as a map of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.anomaly.find import Unlike, find_unlike
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.reference import Named, in_reference
from histoprompt.pipelines.explore.cells import index_table
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.from_index import clean, entries_of, tiles_of
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.kind_map import kind_map
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.study import IndexedStudy, StudySlide, study_for

_INDEXING = 0.8
# No tile reaches it.
_NONE = 1.0


@dataclass(frozen=True, eq=False)
class UnlikeFound:
    """What came of it.

    Attributes
    ----------
    study : IndexedStudy
    unlike : Unlike
    """

    study: IndexedStudy
    unlike: Unlike

    @property
    def told(self) -> str:
        """How many hits there are, what held-out reference gives, and what to know of it."""
        found = self.unlike
        rates = found.decides.held_out_rates(found.share)
        all_of = found.tiles.many(len(found.tiles))
        counts = f"{int(found.hit.sum())} of {all_of} are unlike the reference."
        held = (
            f"The reference has {found.reference.many(len(found.reference))}; of those held out "
            f"{rates.mean():.1%} are false alarms at {found.share:.1%} typed."
        )
        return " ".join((counts, held, *found.notes, *self.study.faults))

    def hit_boxes(self, key: str) -> list[Box]:
        """Where the cells that are unlike the reference lie on one slide; empty of tiles."""
        place = self.study.part_of(key)
        if place is None or not self.unlike.tiles.of_cells:
            return []
        rows = self.unlike.tiles.rows_of(place)
        return [Box(*box) for box in self.unlike.tiles.boxes[rows[self.unlike.hit[rows]]].tolist()]

    def score_map(self, key: str, text: str) -> ScoreMap | None:
        """1 - p of one slide's tiles, with a threshold that its hits reach; None of another."""
        place = self.study.part_of(key)
        if place is None or self.unlike.tiles.of_cells:
            return None
        tiles = self.unlike.tiles
        rows = tiles.rows_of(place)
        scores = np.clip(1 - self.unlike.p_of(self.unlike.params.score)[rows], 0, 1)
        least = float(np.float32(scores[self.unlike.hit[rows]].min(initial=_NONE)))
        cut = Threshold(least, f"a false-alarm rate of {self.unlike.share:.2%}")
        facts = {"model": tiles.encoder, "score": self.unlike.params.score}
        return kind_map(tiles, place, text, scores, facts=facts, cut=cut)


def unlike_cells_on(
    source: StudySlide,
    cells: CellTable,
    params: tuple[IndexParams, UnlikeParams],
    boxes: Sequence[Box],
    manager: ModelManager,
    *,
    task: Task,
) -> UnlikeFound:
    """Find counted cells of a slide unlike those in boxes of normal tissue.

    Parameters
    ----------
    source : StudySlide
    cells : CellTable
        Counted on it.
    params : (IndexParams, UnlikeParams)
        With the network of nuclei as encoder, what it left of the cells is taken; else crops around
        them are looked at.
    boxes : sequence of Box
    manager : ModelManager
    task : Task

    Raises
    ------
    HistopromptError
        As `index_table`, `in_reference` and `find_unlike` do.
    """
    indexing, wanted = params
    with source.open() as slide:
        part = task.part(0.0, _INDEXING)
        index = index_table(slide, cells, indexing, manager, part, name=source.name)
    study = IndexedStudy((source,), indexing, Bank(ProjectIndex((index,))))
    seen = entries_of(study.bank.index)
    inside = in_reference(seen, 0, Named(boxes=tuple(boxes)), "")
    return UnlikeFound(study, find_unlike(seen, inside, wanted, task))


def unlike_on(
    sources: Sequence[StudySlide],
    params: tuple[IndexParams, UnlikeParams],
    reference: tuple[str, Sequence[Box]],
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    task: Task,
) -> UnlikeFound:
    """Index slides, and find tiles unlike boxes of normal tissue on one of them.

    Parameters
    ----------
    sources : sequence of StudySlide
    params : (IndexParams, UnlikeParams)
    reference : (key, boxes)
        The slide that the boxes lie on, by its key.
    manager : ModelManager
    before : IndexedStudy, optional
        Is taken if it serves.
    task : Task

    Raises
    ------
    HistopromptError
        As `make_study`, `in_reference` and `find_unlike` do.
    """
    indexing, wanted = params
    study = study_for(sources, indexing, manager, before, task.part(0.0, _INDEXING))
    key, boxes = reference
    place = study.part_of(key) or 0
    tiles = tiles_of(study.bank.index)
    inside = in_reference(tiles, place, Named(boxes=tuple(boxes)), "") & clean(study.bank.index)
    return UnlikeFound(study, find_unlike(tiles, inside, wanted, task))
