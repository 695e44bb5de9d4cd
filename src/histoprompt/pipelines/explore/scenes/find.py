"""Scenes: clusters of tiles over all slides, smoothed, with what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError, ParameterError
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.scenes.clusters import (
    Stability,
    choose,
    dense,
    k_means,
    stabilities,
)
from histoprompt.pipelines.explore.scenes.names import WORDS, SceneName, number_only
from histoprompt.pipelines.explore.scenes.space import neighbours, scene_space
from histoprompt.pipelines.explore.stored_vectors import all_finite
from histoprompt.pipelines.explore.tile_set import TileSet

# Fewer tiles than this, or fewer per scene, are refused; below `FEW` what is found may be chance.
FEWEST, EACH, FEW = 12, 3, 30
_NEIGHBOURS, _PROBED = 20, 2000


@dataclass(frozen=True)
class ClusterParams(IndexParams):
    """How tiles are brought into scenes.

    Attributes
    ----------
    scenes : int
        How many; 0 chooses those that come out again best.
    method : {"kmeans", "hdbscan"}
    smooth : bool
        Whether tiles are seen with their neighbours, and lone ones take the scene around them.
    words : tuple of str
        Names that scenes may get; none without.
    namer : str
        What compares tiles with words.
    margin : float
        How far a word must be ahead of the next to name a scene.
    """

    scenes: Annotated[
        int,
        Parameter(
            "Scenes",
            "How many kinds of tissue there are.",
            low=0,
            high=50,
            special="as come out again best",
            words=(("auto", 0),),
        ),
    ] = 0
    method: Annotated[
        Literal["kmeans", "hdbscan"],
        Parameter(
            "Found by",
            "k-means shares out all tiles; HDBSCAN keeps rare groups and leaves tiles between.",
            offers=(("k-means", "kmeans"), ("density (HDBSCAN)", "hdbscan")),
        ),
    ] = "kmeans"
    smooth: Annotated[
        bool,
        Parameter("Smooth", "See tiles with their neighbours; lone tiles take the scene around."),
    ] = True
    words: Annotated[
        tuple[str, ...],
        Parameter("Names", "Words that scenes may be named by.", option="names"),
    ] = WORDS
    namer: Annotated[
        str, Parameter("Named by", "What compares tiles with words.", advanced=True)
    ] = "vocabulary"
    margin: Annotated[
        float,
        Parameter(
            "Named from",
            "How far a word must be ahead of the next to name a scene.",
            low=0.0,
            high=1.0,
            advanced=True,
            option="named-from",
        ),
    ] = 0.15

    def __post_init__(self) -> None:
        check(self)
        if self.scenes == 1:
            raise ParameterError("Scenes is 1; it must be 0 (chosen) or at least 2.")


@dataclass(frozen=True, eq=False)
class Scenes:
    """What came of it.

    Attributes
    ----------
    tiles : TileSet
    code : (n,) int32
        The scene of each tile, the largest first; -1 for none.
    space : (n, k) float32
        Unit vectors in which scenes were found.
    centres : (scenes, k) float32
    names : tuple of SceneName
    stability : tuple of Stability
        For each number of scenes that was tried; empty where it was typed.
    slide_agreement : float
        Adjusted Rand index of scenes and slides: 0 by chance, 1 if scenes are slides.
    robustness : float
        Of the nearest tiles that are either of the same scene on another slide or of another scene
        on the same slide, the share of the former (PathoROB's SO / (SO + OS)); NaN of one slide.
    notes : tuple of str
    """

    tiles: TileSet
    code: NDArray[np.int32]
    space: NDArray[np.float32]
    centres: NDArray[np.float32]
    names: tuple[SceneName, ...]
    stability: tuple[Stability, ...]
    slide_agreement: float
    robustness: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def typical(self, count: int) -> list[NDArray[np.intp]]:
        """The tiles nearest to the middle of each scene, nearest first."""
        found = []
        for number in range(len(self)):
            rows = np.flatnonzero(self.code == number)
            near = self.space[rows] @ self.centres[number]
            found.append(rows[np.argsort(-near, kind="stable")[:count]])
        return found

    def renamed(self, number: int, name: str) -> Scenes:
        """With another name of one scene.

        Raises
        ------
        LabelError
            If it is empty or taken.
        """
        name = name.strip()
        if not name or name in (n.name for k, n in enumerate(self.names) if k != number):
            raise LabelError(f"{name!r} cannot be the name of a scene. Type another.")
        names = list(self.names)
        names[number] = replace(names[number], name=name)
        return replace(self, names=tuple(names))


def find_scenes(tiles: TileSet, params: ClusterParams, task: Task) -> Scenes:
    """Bring tiles into scenes, named by numbers; see `names.name_scenes`.

    Raises
    ------
    LabelError
        If there are fewer than 12 tiles, or fewer than three per scene.
    Cancelled
        If the task is cancelled.
    """
    least = max(FEWEST, EACH * params.scenes)
    if len(tiles) < least:
        raise LabelError(
            f"There are {len(tiles):,} tiles; {max(params.scenes, 2)} scenes need at "
            f"least {least}. Add slides, or lay a finer grid."
        )
    if not all_finite(tiles.vectors):
        raise LabelError(
            "Vectors of tiles hold values that are no numbers. Index the slides again."
        )
    space = scene_space(tiles, smooth=params.smooth)
    stability: tuple[Stability, ...] = ()
    if params.method == "hdbscan":
        code, centres = dense(space, task)
    else:
        count = params.scenes
        if not count:
            stability = tuple(stabilities(space, task))
            count = choose(list(stability))
        code, centres = k_means(space, count)
    if params.smooth:
        code = majority(tiles, code)
    agreement, robust = slide_identity(tiles.slide, code, space)
    found = Scenes(
        tiles, code, space, centres, number_only(len(centres)), stability, agreement, robust
    )
    return replace(found, notes=_notes(found))


def majority(tiles: TileSet, code: NDArray[np.int32]) -> NDArray[np.int32]:
    """Tiles take the scene that more than half of their neighbours have, if they have three."""
    out = code.copy()
    count = int(code.max(initial=0)) + 1
    for number in np.unique(tiles.slide):
        rows = tiles.rows_of(number)
        votes = np.zeros((len(rows), count), np.int32)
        for here, there in neighbours(tiles.places[rows]):
            seen = code[rows[there]]
            np.add.at(votes, (here[seen >= 0], seen[seen >= 0]), 1)
        total, best = votes.sum(axis=1), votes.argmax(axis=1)
        clear = (total >= 3) & (2 * votes.max(axis=1) > total)
        out[rows[clear]] = best[clear]
    return out


def slide_identity(
    slide: NDArray[np.int32], code: NDArray[np.int32], space: NDArray[np.float32]
) -> tuple[float, float]:
    """How much of scenes is which slide tiles are of: adjusted Rand index, and robustness.

    J. Koemen et al., "Towards robust foundation models for digital pathology" (PathoROB), 2025.
    """
    from sklearn.metrics import adjusted_rand_score

    if len(np.unique(slide)) < 2:
        return 0.0, float("nan")
    agreement = float(adjusted_rand_score(slide, code))
    some = np.arange(0, len(code), max(1, len(code) // _PROBED))
    alike = space[some] @ space[some].T
    np.fill_diagonal(alike, -np.inf)
    near = np.argsort(-alike, axis=1, kind="stable")[:, :_NEIGHBOURS]
    same_scene = code[some][near] == code[some][:, None]
    same_slide = slide[some][near] == slide[some][:, None]
    good, bad = (same_scene & ~same_slide).sum(), (~same_scene & same_slide).sum()
    return agreement, float(good / (good + bad)) if good + bad else float("nan")


def areas(found: Scenes) -> NDArray[np.float64]:
    """Square millimetres (slides, scenes)."""
    table = np.zeros((len(found.tiles.slides), len(found)))
    inside = found.code >= 0
    np.add.at(table, (found.tiles.slide[inside], found.code[inside]), found.tiles.area_mm2[inside])
    return table


def _notes(found: Scenes) -> tuple[str, ...]:
    notes: Sequence[str] = []
    if found.slide_agreement > 0.5:
        notes = [
            f"Scenes are mostly slides (adjusted Rand index {found.slide_agreement:.2f}): stain or "
            "scanner, not tissue, may part them."
        ]
    if len(found.code) < FEW:
        notes = [
            *notes,
            f"{len(found.code):,} tiles are few: the scenes may be chance. Add slides, or lay a "
            "finer grid.",
        ]
    left = int((found.code < 0).sum())
    if left:
        notes = [*notes, f"{left} of {len(found.code):,} tiles are of no scene."]
    if not len(found):
        notes = [*notes, "No group of tiles is dense enough for a scene. Take k-means."]
    return tuple(notes)
