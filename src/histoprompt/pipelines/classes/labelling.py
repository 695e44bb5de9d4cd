"""What a person says about the classes of counted cells: kept, taken back, saved, learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.cell_table import UNSURE, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import explained, replace_file
from histoprompt.core.files.documents import Count, Finite, Shape, read_json
from histoprompt.core.files.locks import alone_at
from histoprompt.pipelines.classes.active_learning import (
    CurvePoint,
    Review,
    Suggestion,
)
from histoprompt.pipelines.formats.json_files import json_text

FILE = "labels_given.json"
FORMAT = 1
T = TypeVar("T")


class _Kept(TypedDict):
    """What `LabelHistory` saves."""

    format: Literal[1]
    classes: list[str]
    labels: dict[str, str]
    unsure: list[Count]
    rejected: dict[str, list[str]]
    curve: list[Annotated[list[Finite | None], Field(min_length=4, max_length=4)]]
    palette: NotRequired[list[str]]


_SHAPE: Shape[_Kept] = Shape(_Kept)
_TOO_LONG = 19  # digits: such a number may be beyond 64 bits


@dataclass(frozen=True)
class Labelling:
    """Classes, and which cells were said to be of them.

    Attributes
    ----------
    classes : tuple of str
        In the order the person made them.
    review : Review
    palette : tuple of str
        Every class there ever was, in the order they were met first: each keeps its colour.
    """

    classes: tuple[str, ...] = ()
    review: Review = field(default_factory=Review)
    palette: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "palette", tuple(dict.fromkeys((*self.palette, *self.classes))))

    def having_met(self, names: Iterable[str]) -> Labelling:
        """With colours for more classes; those there are keep theirs."""
        return replace(self, palette=(*self.palette, *names))

    def with_class(self, name: str) -> Labelling:
        """With one more class.

        Raises
        ------
        LabelError
            If the name is empty, taken, or that of unsure cells.
        """
        name = name.strip()
        if not name or name == UNSURE or name in self.classes:
            taken = "is there already" if name in self.classes else "cannot be the name of a class"
            raise LabelError(f"{name!r} {taken}. Type another name.")
        return replace(self, classes=(*self.classes, name))

    def without_class(self, name: str) -> Labelling:
        """Without a class and the labels of it."""
        labels = {i: n for i, n in self.review.labels.items() if n != name}
        classes = tuple(n for n in self.classes if n != name)
        return replace(self, classes=classes, review=replace(self.review, labels=labels))

    def labelled(self, ids: Iterable[int], name: str) -> Labelling:
        """With the class of some cells said outright."""
        review = self.review
        for cell in ids:
            review = review.labelled(cell, name)
        return replace(self, review=review)

    def of_cells(self, cells: CellTable) -> Labelling:
        """What of it is said of cells of a table."""
        review = self.review
        said = np.array([*review.labels, *review.rejected, *review.unsure], np.int64)
        here = set(said[np.isin(said, cells.id)].tolist())
        if len(here) == len(set(said.tolist())):
            return self
        kept = replace(
            review,
            labels={i: name for i, name in review.labels.items() if i in here},
            unsure=review.unsure & here,
            rejected={i: names for i, names in review.rejected.items() if i in here},
        )
        return replace(self, review=kept)

    def answered(self, suggestion: Suggestion, key: str) -> Labelling:
        """After an answer, a key of `review`, to a suggestion."""
        known = tuple(dict.fromkeys((*self.classes, suggestion.proposed)))
        answered = self.review.answered(suggestion, key, known)
        return replace(self, classes=known, review=answered)

    def counts(self) -> dict[str, int]:
        """Labels given to each class."""
        given = list(self.review.labels.values())
        return {name: given.count(name) for name in self.classes}


class LabelHistory:
    """The labelling as it is now and as it was, for undo and redo; every change is on disk.

    Several windows may work on one count: a change is made to what the file holds then, so none
    loses what another has said.

    Parameters
    ----------
    folder : Path
        Of the count; ``labels_given.json`` lies there.
    cells : CellTable
        Labels of ids that are not in it are left out.
    ever : callable, optional
        Gives the largest id that a cell ever had: labels of cells that were corrected away are
        kept, since they may come back.

    Raises
    ------
    LabelError
        If the file is damaged.
    """

    def __init__(
        self, folder: Path, cells: CellTable, ever: Callable[[], int] | None = None
    ) -> None:
        self._path = folder / FILE
        self._cells, self._ever = cells, ever
        self._before: list[tuple[Labelling, Labelling]] = []
        self._after: list[tuple[Labelling, Labelling]] = []
        self.now = self._read()

    def change(self, labelling: Labelling) -> None:
        """Go on from this one; what was undone is forgotten."""
        before = self.now
        self._make(before, labelling)
        self._before.append((before, labelling))
        self._after.clear()

    def amend(self, labelling: Labelling) -> None:
        """Put this in the place of the present one, with no step of undo."""
        self._make(self.now, labelling)

    def undo(self) -> bool:
        """Take the last change back; False if there is none."""
        return self._go(self._before, self._after)

    def redo(self) -> bool:
        """Do again what was taken back; False if there is nothing."""
        return self._go(self._after, self._before)

    def _go(
        self, source: list[tuple[Labelling, Labelling]], target: list[tuple[Labelling, Labelling]]
    ) -> bool:
        if not source:
            return False
        old, new = source[-1]
        # a class keeps its colour though the step that made it is taken back
        self._make(new, replace(old, palette=(*self.now.palette, *old.palette)))
        source.pop()
        target.append((new, old))
        return True

    def _make(self, old: Labelling, new: Labelling) -> None:
        """Make the step from one labelling to another on what the file holds now."""
        with explained(self._path), alone_at(self._path):
            there = self._read()
            made = new if there == old else merged(old, new, there)
            replace_file(self._path, json_text(_as_json(made)))
        self.now = made

    def _read(self) -> Labelling:
        if not self._path.exists():
            return Labelling()
        return read_labelling(self._path, self._cells, self._ever() if self._ever else 0)


def merged(old: Labelling, new: Labelling, there: Labelling) -> Labelling:
    """A labelling that somebody else has changed, after the step from `old` to `new` as well."""
    a, b, c = old.review, new.review, there.review
    gone = set(old.classes) - set(new.classes)
    classes = [name for name in there.classes if name not in gone]
    classes += [name for name in new.classes if name not in {*old.classes, *classes}]
    labels = _moved(a.labels, b.labels, c.labels)
    curve = c.curve
    if b.curve[: len(a.curve)] == a.curve:
        curve = (*c.curve, *b.curve[len(a.curve) :])
    elif a.curve[: len(b.curve)] == b.curve:
        curve = tuple(point for point in c.curve if point not in a.curve[len(b.curve) :])
    review = replace(
        b,
        labels={cell: name for cell, name in labels.items() if name not in gone},
        unsure=(c.unsure - (a.unsure - b.unsure)) | (b.unsure - a.unsure),
        rejected=_moved(a.rejected, b.rejected, c.rejected),
        curve=curve,
    )
    palette = (*there.palette, *new.palette)
    return replace(new, classes=tuple(classes), review=review, palette=palette)


def _moved(old: Mapping[int, T], new: Mapping[int, T], there: Mapping[int, T]) -> dict[int, T]:
    """Entries after the changes from `old` to `new`."""
    out = {i: v for i, v in there.items() if i not in old or i in new}
    return out | {i: v for i, v in new.items() if old.get(i) != v}


def read_labelling(path: Path, cells: CellTable, ever: int = 0) -> Labelling:
    """Read what `LabelHistory` saved; cells that are not in the table are left out.

    Parameters
    ----------
    path : Path
    cells : CellTable
    ever : int
        Ids up to this are known as well.

    Raises
    ------
    LabelError
        If the file is damaged or of a later version.
    """
    where = f"The labels given to cells cannot be read: {path}"
    raw = _SHAPE.of(read_json(path), where, advice="Move the file away to start anew.")
    # of a million cells a few were labelled, and this is read at every change
    given = {*raw["labels"], *raw["rejected"], *map(str, raw["unsure"])}
    asked = [int(i) for i in given if i.isascii() and i.isdecimal() and len(i) < _TOO_LONG]
    met = np.isin(cells.id, np.array(asked, np.int64))
    known = {str(i): i for i in [*cells.id[met].tolist(), *(i for i in asked if 0 < i <= ever)]}
    labels = {known[i]: name for i, name in raw["labels"].items() if i in known}
    rejected = {known[i]: frozenset(names) for i, names in raw["rejected"].items() if i in known}
    curve = tuple(map(_point, raw["curve"]))
    unsure = frozenset(raw["unsure"]) & frozenset(known.values())
    review = Review(labels, unsure, rejected, curve)
    return Labelling(tuple(raw["classes"]), review, tuple(raw.get("palette", ())))


def _as_json(labelling: Labelling) -> dict[str, Any]:
    review = labelling.review
    points = [[p.labels, p.accuracy, p.changed, p.fewest] for p in review.curve]
    return {
        "format": FORMAT,
        "classes": list(labelling.classes),
        "palette": list(labelling.palette),
        "labels": _text_keys(review.labels),
        "unsure": sorted(review.unsure),
        "rejected": {str(i): sorted(names) for i, names in review.rejected.items()},
        "curve": [[None if np.isnan(v) else v for v in point] for point in points],
    }


def _text_keys(labels: Mapping[int, str]) -> dict[str, str]:
    return {str(i): name for i, name in labels.items()}


def _point(kept: list[float | None]) -> CurvePoint:
    labels, accuracy, changed, fewest = (float("nan") if v is None else v for v in kept)
    return CurvePoint(int(np.nan_to_num(labels)), accuracy, changed, int(np.nan_to_num(fewest)))
