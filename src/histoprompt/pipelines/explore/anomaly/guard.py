"""Whether slides differ from the reference everywhere: in stain and sharpness, not in tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.explore.anomaly.folds import blocks_of
from histoprompt.pipelines.explore.pictures import Opener, Picture, pictures_of
from histoprompt.pipelines.explore.tile_set import TileSet

# Tiles looked at of each side, and pixels a side of their pictures.
MOST, PIXELS = 160, 32
_FEWEST = 16
_APART = 0.9
_PARTS = 4


@dataclass(frozen=True)
class ColourDifference:
    """How well colour alone tells a slide from the reference.

    Attributes
    ----------
    slide : str
    auroc : float
        Of the half of its tiles that are most like the reference; NaN with too few tiles.
    """

    slide: str
    auroc: float

    @property
    def everywhere(self) -> bool:
        """Whether the slide differs from the reference everywhere."""
        return self.auroc >= _APART

    def __str__(self) -> str:
        return (
            f"{self.slide} differs from the reference everywhere: colour and sharpness alone tell "
            f"them apart (AUROC {self.auroc:.2f}, even on the half that looks most normal). Hits "
            "may be stain or scanner. Add normal tissue of this slide, or of its batch, to the "
            "reference."
        )


def looks(pictures: Picture) -> NDArray[np.float32]:
    """Colour and sharpness (n, 13) of (n, h, w, 3) uint8 pictures."""
    density = -np.log10((pictures.astype(np.float32) + 1) / 256)
    flat = density.reshape(len(pictures), -1, 3)
    grey = density.mean(axis=3)
    edges = np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(grey, axis=2)).mean(
        axis=(1, 2)
    )
    parts = [flat.mean(axis=1), flat.std(axis=1), *np.percentile(flat, [10, 90], axis=1)]
    return np.asarray(np.concatenate([*parts, edges[:, None]], axis=1), np.float32)


def told_apart(
    reference: NDArray[np.float32],
    reference_at: NDArray[np.float64],
    other: NDArray[np.float32],
    other_at: NDArray[np.float64],
) -> float:
    """AUROC with which a linear model tells two sets of looks apart, on places it has not seen.

    Parameters
    ----------
    reference, other : (n, k), (m, k)
    reference_at, other_at : (n, 2), (m, 2)
        Where they are; neighbours are held out together.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score

    if min(len(reference), len(other)) < _FEWEST:
        return float("nan")
    fold = np.concatenate([blocks_of(reference_at, _PARTS), blocks_of(other_at, _PARTS)])
    given = np.concatenate([reference, other])
    truth = np.repeat([0, 1], [len(reference), len(other)])
    score = np.zeros(len(given))
    for f in range(_PARTS):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        model.fit(given[fold != f], truth[fold != f])
        score[fold == f] = model.decision_function(given[fold == f])
    return float(roc_auc_score(truth, score))


def look_for_shift(
    tiles: TileSet,
    score: NDArray[np.float32],
    inside: NDArray[np.bool_],
    reference: TileSet,
    *,
    opener: Opener,
    task: Task,
) -> list[ColourDifference]:
    """Hold each slide that is not of the reference against it by colour.

    Parameters
    ----------
    tiles : TileSet
    score : (n,) float32
        Larger is stranger: the stranger half of each slide is left out.
    inside : (n,) bool
        Tiles of the reference.
    reference : TileSet
    opener : callable
    task : Task
    """
    own = _some(np.arange(len(reference)))
    mine = looks(_pictures(reference, own, opener, task))
    known = {reference.slides[s].key for s in np.unique(reference.slide)}
    found = []
    for number, slide in enumerate(tiles.slides):
        rows = np.flatnonzero((tiles.slide == number) & ~inside)
        if slide.key in known or len(rows) < 2 * _FEWEST:
            continue
        calm = np.sort(rows[np.argsort(score[rows], kind="stable")[: len(rows) // 2]])
        calm = calm[_some(np.arange(len(calm)))]
        theirs = looks(_pictures(tiles, calm, opener, task))
        auroc = told_apart(mine, reference.centres[own], theirs, tiles.centres[calm])
        found.append(ColourDifference(slide.name, auroc))
    return found


def _some(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    if len(rows) <= MOST:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST, replace=False))


def _pictures(tiles: TileSet, rows: NDArray[np.intp], opener: Opener, task: Task) -> Picture:
    found = pictures_of(tiles, rows, PIXELS, opener, task)
    return np.stack([found[row] for row in rows.tolist()])
