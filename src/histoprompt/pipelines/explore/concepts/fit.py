"""Classes as sums of concepts: a regularised logistic regression that can be read and mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError, ParameterError
from histoprompt.core.tissue.words import normal
from histoprompt.pipelines.classes.classifiers import Linear
from histoprompt.pipelines.classes.few_shot import fit_model
from histoprompt.pipelines.classes.ignored import without_ignored
from histoprompt.pipelines.classes.one_out import leave_one_out
from histoprompt.pipelines.explore.concepts.values import Concept, Float
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.marks import TileMark, marked_tiles
from histoprompt.pipelines.explore.tile_set import TileSet

_PAIR = 2
# From so many slides on, whole slides are left out.
_SLIDES = 3


@dataclass(frozen=True)
class HeldOut:
    """What concepts are worth on marks that were left out.

    Attributes
    ----------
    balanced_accuracy, macro_f1 : float
    by : str
        What was left out together, ``"mark"`` or ``"slide"``.
    """

    balanced_accuracy: float
    macro_f1: float
    by: str

    @property
    def told(self) -> str:
        """For people."""
        return (
            f"balanced accuracy {self.balanced_accuracy:.2f}, macro F1 {self.macro_f1:.2f} on "
            f"{self.by}s left out"
        )


@dataclass(frozen=True, eq=False)
class ConceptModel:
    """Concepts with their weights.

    Attributes
    ----------
    concepts : tuple of Concept
    classes : tuple of str
    middle, spread : (k,) float32
        Mean and standard deviation of each concept over the marked tiles.
    linear : Linear
        Weights are logits a standard deviation.
    examples : mapping of str to int
        Marked tiles of each class.
    held_out, with_struck : HeldOut or None
        Of these concepts, and of these with those that are struck out; None if leaving out leaves
        a class without examples.
    struck : tuple of str
        Names of concepts that were left out.
    about : mapping of str to str
        How tiles were looked at: encoder, digest, mpp, overlap.
    """

    concepts: tuple[Concept, ...]
    classes: tuple[str, ...]
    middle: Float
    spread: Float
    linear: Linear
    examples: Mapping[str, int]
    held_out: HeldOut | None
    with_struck: HeldOut | None
    struck: tuple[str, ...]
    about: Mapping[str, str]

    def scaled(self, values: Float) -> Float:
        """Values (n, k) as standard deviations from the mean of the marked tiles."""
        return np.asarray((values - self.middle) / self.spread, np.float32)

    def strongest(self, number: int, most: int = 3) -> list[tuple[str, float]]:
        """The concepts that say most for or against a class, with their weights."""
        weights = self.linear.weights[number]
        order = np.argsort(-np.abs(weights), kind="stable")[:most]
        return [(self.concepts[k].name, float(weights[k])) for k in order]

    @property
    def score(self) -> str:
        """What it is worth on marks that were left out."""
        return "too few marks to test" if self.held_out is None else self.held_out.told

    @property
    def cost(self) -> str:
        """What striking concepts out cost."""
        if self.held_out is None or self.with_struck is None:
            return "too few marks to test what that costs"
        it = "it" if len(self.struck) == 1 else "them"
        return (
            f"balanced accuracy {self.with_struck.balanced_accuracy:.2f} with {it}, "
            f"{self.held_out.balanced_accuracy:.2f} without"
        )


def looked_at(seen: IndexParams, tiles: TileSet) -> dict[str, str]:
    """How tiles were looked at, as it is kept with what was learnt from them."""
    return {
        "encoder": tiles.encoder,
        "digest": tiles.digest,
        "mpp": f"{seen.mpp:g}",
        "overlap": str(seen.overlap),
    }


@dataclass(frozen=True, eq=False)
class MarkedRows:
    """Tiles that teach.

    Attributes
    ----------
    rows : (m,) intp
        Of a `TileSet`.
    names : tuple of str
        Their classes.
    groups : (m,) intp
        Tiles of one mark have the same number.
    notes : tuple of str
        What could not be used.
    """

    rows: NDArray[np.intp]
    names: tuple[str, ...]
    groups: NDArray[np.intp]
    notes: tuple[str, ...] = ()


def marked_rows(
    marks: Sequence[TileMark], tiles: TileSet, slide_of: Callable[[TileMark], int | None]
) -> MarkedRows:
    """The tiles of marks, those of `Ignore*` left out; parameters and errors as `marked_tiles`.

    Raises
    ------
    LabelError
        If fewer than two classes are marked.
    """
    numbered = [replace(mark, name=str(number)) for number, mark in enumerate(marks)]
    found, notes = marked_tiles(numbered, tiles, slide_of)
    mark_of = {row: int(number) for row, number in found.items()}
    labels = without_ignored({row: marks[number].name for row, number in mark_of.items()})
    names = sorted(set(labels.values()))
    if len(names) < _PAIR:
        raise LabelError(
            f"The marks are of {'one class, ' + names[0] if names else 'no class that counts'}. "
            "Mark tiles of at least two classes, such as the tissue that is meant and the rest."
        )
    rows = sorted(labels)
    groups = np.array([mark_of[row] for row in rows], np.intp)
    return MarkedRows(np.array(rows, np.intp), tuple(labels[row] for row in rows), groups, notes)


def kept_concepts(
    concepts: Sequence[Concept], strike: Sequence[str]
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Which concepts stay, and the names of those that are struck out.

    Raises
    ------
    ParameterError
        If there is no concept of a name, or none is left.
    """
    by_name = {normal(one.name): k for k, one in enumerate(concepts)}
    gone = set()
    for name in strike:
        if normal(name) not in by_name:
            raise ParameterError(
                f"There is no concept {name!r} to strike out. There are "
                f"{', '.join(one.name for one in concepts)}."
            )
        gone.add(by_name[normal(name)])
    if len(gone) == len(concepts):
        raise ParameterError(f"All {len(concepts)} concepts are struck out. Leave at least one.")
    kept = np.array([k for k in range(len(concepts)) if k not in gone], np.intp)
    return kept, tuple(concepts[k].name for k in sorted(gone))


def fit_concepts(
    values: Float,
    marked: MarkedRows,
    slides: NDArray[np.integer],
    concepts: Sequence[Concept],
    *,
    strike: Sequence[str],
    strength: float,
    about: Mapping[str, str],
) -> ConceptModel:
    """Learn how concepts tell classes.

    Parameters
    ----------
    values : (m, k) float32
        Of the marked tiles.
    marked : MarkedRows
    slides : (m,) int
        The slide of each marked tile.
    concepts : sequence of Concept
        Of the k columns.
    strike : sequence of str
        Names of concepts that must not decide.
    strength : float
    about : mapping of str to str
        Kept with it.

    Raises
    ------
    ParameterError
        As `kept_concepts`.
    """
    kept, struck = kept_concepts(concepts, strike)
    classes = tuple(sorted(set(marked.names)))
    code = np.array([classes.index(name) for name in marked.names], np.int16)
    middle = values.mean(axis=0)
    spread = values.std(axis=0)
    spread = np.where(spread > 1e-6 * (1 + np.abs(middle)), spread, 1).astype(np.float32)
    scaled = np.asarray((values - middle) / spread, np.float32)

    def tried(columns: NDArray[np.intp]) -> HeldOut | None:
        return _held_out(
            scaled[:, columns], code, classes, strength, slides=slides, marks=marked.groups
        )

    model = fit_model(scaled[:, kept], code, len(classes), "logistic", strength).model
    assert isinstance(model, Linear)
    held_out = tried(kept)
    return ConceptModel(
        concepts=tuple(concepts[k] for k in kept),
        classes=classes,
        middle=middle[kept],
        spread=spread[kept],
        linear=model,
        examples={name: marked.names.count(name) for name in classes},
        held_out=held_out,
        with_struck=tried(np.arange(len(concepts))) if struck else held_out,
        struck=struck,
        about=dict(about),
    )


def _held_out(
    scaled: Float,
    code: NDArray[np.int16],
    classes: tuple[str, ...],
    strength: float,
    *,
    slides: NDArray[np.integer],
    marks: NDArray[np.intp],
) -> HeldOut | None:
    """By slide where there are several, else by mark: tiles of one mark are alike."""
    ways = [("slide", slides)] if len(np.unique(slides)) >= _SLIDES else []
    for by, groups in [*ways, ("mark", marks)]:
        found = leave_one_out(scaled, code, classes, "logistic", strength=strength, groups=groups)
        if found is not None:
            return HeldOut(found.balanced_accuracy, found.macro_f1, by)
    return None
