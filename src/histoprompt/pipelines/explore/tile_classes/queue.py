"""Which tile to look at next, what came of it, and how much marks still teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.strings.names import guarded
from histoprompt.pipelines.classes.active_learning import (
    UNSURE_KEY,
    CurvePoint,
    Review,
    Suggestion,
    next_cell,
)
from histoprompt.pipelines.classes.lesson import hint
from histoprompt.pipelines.classes.train import TrainedClassifier
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.fit import TileFit, TileTrainParams, fit_tiles
from histoprompt.pipelines.explore.tile_classes.marks import CLASS, TileMark
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, write_rows

# Points of the curve that is drawn from marks given all at once.
_POINTS = 8


@dataclass(frozen=True)
class QueuedTile:
    """A tile that is offered.

    Attributes
    ----------
    slide : str
        `Slide.key`.
    box : Box
        What was looked at, level-0 pixels.
    suggestion : Suggestion
        Its id is the tile's row and 1.
    """

    slide: str
    box: Box
    suggestion: Suggestion


@dataclass(frozen=True, eq=False)
class Queue:
    """What was asked so far, and what is asked next.

    Attributes
    ----------
    tiles : TileSet
        Rows of these are meant.
    fit : TileFit
    review : Review
        Its ids are rows and 1.
    question : QueuedTile or None
        None when everything was asked.
    """

    tiles: TileSet
    fit: TileFit
    review: Review
    question: QueuedTile | None

    @property
    def hint(self) -> str:
        """Whether to go on marking, in words."""
        return hint(self.review, self.fit.fit).replace("cells", "tiles")

    @property
    def points(self) -> NDArray[np.float64]:
        """(k, 3) of the learning curve: marks, held-out accuracy, share of tiles that changed."""
        told = [(p.labels, p.accuracy, p.changed) for p in self.review.curve]
        return np.array(told, np.float64).reshape(-1, 3)

    def answered(self, key: str) -> tuple[Queue, TileMark | None]:
        """After an answer to the question, a, r or u; and the mark that it gives, if it gives one.

        Raises
        ------
        ValueError
            If nothing is asked, or the key is another.
        """
        if self.question is None:
            raise ValueError("No tile is offered.")
        offered = self.question.suggestion
        review = self.review.answered(offered, key, self.fit.fit.classifier.classes)
        name = review.labels.get(offered.id)
        row, col = self.question.box.centre
        place = (row, col, row + 1, col + 1)
        mark = None if name is None else TileMark(self.question.slide, place, name)
        return replace(self, review=review, question=None), mark


def queue_of(
    tiles: TileSet,
    fit: TileFit,
    labels: Mapping[int, str],
    before: Queue | None = None,
    like: str = "",
) -> Queue:
    """What to ask after a training.

    Parameters
    ----------
    tiles : TileSet
    fit : TileFit
        Learnt from the labels.
    labels : mapping of int to str
        Class by row.
    before : Queue, optional
        That of the training before; it is gone on with if it is of the same tiles.
    like : str
        The class whose look-alikes are asked about; empty for what is most useful.
    """
    given = {row + 1: name for row, name in labels.items()}
    review, earlier = Review(given), None
    if before is not None and len(before.tiles) == len(tiles):
        review = replace(before.review, labels=given)
        earlier = None if before.fit.alone else before.fit
    known = bool(review.curve) and review.curve[-1].labels == len(given)
    if not known and not fit.alone:
        review = review.measured(_scored(fit), None if earlier is None else earlier.fit)
    offered = next_cell(fit.fit, review, like=like)
    return Queue(tiles, fit, review, None if offered is None else _question(tiles, offered))


def worth_marking(queue: Queue, count: int) -> list[QueuedTile]:
    """The tiles most worth a mark, the most useful first."""
    review = queue.review
    found: list[QueuedTile] = []
    while len(found) < count and (offered := next_cell(queue.fit.fit, review)) is not None:
        found.append(_question(queue.tiles, offered))
        review = review.answered(offered, UNSURE_KEY, ())
    return found


def write_worth_marking(path: Path, queue: Queue, count: int) -> int:
    """Write tiles that are worth a mark as a table of marks to be looked at; returns how many.

    Its column ``class`` holds what each seems to be: correct it, and the table can be marks.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    found = worth_marking(queue, count)
    names = {slide.key: slide.path or slide.name for slide in queue.tiles.slides}
    rows = []
    for one in found:
        row, col = (round(v) for v in one.box.centre)
        offered = one.suggestion
        place = (row, col, row + 1, col + 1)
        told = (guarded(offered.proposed), f"{offered.probability:.3f}", offered.why)
        rows.append((names[one.slide], *place, *told))
    write_rows(path, (SLIDE, *BOX, CLASS, "probability", "why"), rows)
    return len(found)


def learning_curve(
    tiles: TileSet, labels: Mapping[int, str], params: TileTrainParams, seen: IndexParams
) -> tuple[CurvePoint, ...]:
    """How good classes were with the first of the marks, and more of them, and all.

    Parameters
    ----------
    tiles : TileSet
    labels : mapping of int to str
        Class by row, in the order in which a person gave them.
    params : TileTrainParams
    seen : IndexParams
        How tiles were looked at.
    """
    rows, review, before = list(labels), Review(), None
    for count in np.unique(np.linspace(0, len(rows), _POINTS + 1)[1:].round().astype(int)):
        some = {row: labels[row] for row in _mixed(rows, labels)[:count]}
        try:
            fit = fit_tiles(tiles, some, params, seen)
        except LabelError:  # one class only, so far
            continue
        if fit.one_out is None:
            continue
        given = {row + 1: name for row, name in some.items()}
        review = replace(review, labels=given).measured(_scored(fit), before)
        before = fit.fit
    return review.curve


def _mixed(rows: list[int], labels: Mapping[int, str]) -> list[int]:
    """Rows of all classes in turn: files often hold the marks of one class after the other."""
    by_class: dict[str, list[int]] = {}
    for row in rows:
        by_class.setdefault(labels[row], []).append(row)
    place = {row: (k, n) for n, some in enumerate(by_class.values()) for k, row in enumerate(some)}
    return sorted(rows, key=lambda row: place[row])


def _scored(fit: TileFit) -> TrainedClassifier:
    """The training with its accuracy on marks that were left out."""
    if fit.one_out is None:
        return fit.fit
    return replace(fit.fit, accuracy=fit.one_out.balanced_accuracy)


def _question(tiles: TileSet, offered: Suggestion) -> QueuedTile:
    row = offered.id - 1
    box = Box(*tiles.boxes[row].tolist())
    return QueuedTile(tiles.slides[tiles.slide[row]].key, box, offered)
