"""Words to score maps: a slide, some texts, and for each text how well every tile fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import Cancelled, PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import TilePlan, plan_tiles
from histoprompt.pipelines.embedding.tiles import embed_tiles, look_ahead, only_kept
from histoprompt.pipelines.embedding.words import TextCache
from histoprompt.pipelines.text.partial_map import GrowingMap
from histoprompt.pipelines.text.similarity_cache import CosineCache
from histoprompt.pipelines.text.text_embedding import ScoreParams, TextEmbeddings, embed_queries


@dataclass(frozen=True, eq=False)
class SeenTiles:
    """Tiles of a slide that were looked at: what any number of texts is asked of.

    Attributes
    ----------
    slide_key : str
    mpp : float or None
        Microns a level-0 pixel.
    plan : TilePlan
    vectors : tuple of TileVectors
        One a scale, in the order of `plan.places`.
    """

    slide_key: str
    mpp: float | None
    plan: TilePlan
    vectors: tuple[TileVectors, ...]

    _cosines: CosineCache = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cosines", CosineCache(self._similarities))

    def similarities(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (n, m) with (m, d) unit vectors, averaged over the scales.

        Only texts that were not asked lately are held against the vectors.
        """
        return self._cosines.of(texts)

    def _similarities(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        found = self.vectors[0].similarities(texts)
        if len(self.vectors) == 1:
            return found
        for vectors in self.vectors[1:]:
            found += vectors.similarities(texts)
        return found / np.float32(len(self.vectors))


def score(
    slide: Slide,
    params: ScoreParams,
    job: ScoreJob,
    task: Task,
    *,
    region: Box | None = None,
    first: Box | None = None,
    texts: TextCache | None = None,
    growing: Callable[[ScoreMap], object] | None = None,
) -> tuple[ScoreMap, SeenTiles]:
    """Score a slide: look at its tiles where that was not done before, then ask the texts.

    Texts are embedded before any tile is, so that a word the model does not know is refused at
    once.

    Parameters
    ----------
    slide : Slide
    params : ScoreParams
    job : ScoreJob
    task : Task
        When it is cancelled while tiles are looked at, those seen so far are scored and returned.
    region : Box, optional
        Only this part, level-0 pixels.
    first : Box, optional
        What is in view; its tiles come first.
    texts : TextCache, optional
        Vectors of texts asked before.
    growing : callable, optional
        Given the map of the tiles seen so far, at most twice a second, in this thread. Of several
        scales the first is shown.

    Raises
    ------
    PromptError
        If a text is empty, given twice, or one the model cannot know.
    MissingMppError, RegionError
        As for `plan_tiles`.
    Cancelled
        Before any tile was seen.
    """
    params.check()
    asked = embed_queries(params, job, task, texts or TextCache())
    plan = plan_tiles(slide, job.card, region, mpp=params.mpp or None, overlap=params.overlap)
    grown = None
    if growing is not None:
        grown = GrowingMap(asked.rows, asked.scores, asked.on(slide.key, slide.mpp, plan), growing)
    try:
        seen = _look(slide, plan, params, job, task, first=first, grown=grown)
    except Cancelled:
        seen = _seen_so_far(slide, plan, params, job)
    return _answer(seen, asked), seen


def look_at_share(
    slide: Slide,
    params: ScoreParams,
    job: ScoreJob,
    share: tuple[int, int],
    task: Task,
    *,
    region: Box | None = None,
) -> None:
    """Look at a share of the tiles of a slide, so that `score` need not; the scores are the same.

    Parameters
    ----------
    slide, params, task, region
        As for `score`.
    job : ScoreJob
        Its `ahead` is where vectors are put.
    share : (int, int)
        Which one, from 0, of how many.

    Raises
    ------
    MissingMppError, RegionError, ExportError
        As `score`.
    """
    params.check()
    plan = plan_tiles(slide, job.card, region, mpp=params.mpp or None, overlap=params.overlap)
    for n, scale in enumerate(params.scales):
        part = task.part(n / len(params.scales), (n + 1) / len(params.scales))
        look_ahead(slide, plan.scaled(scale), job, share, part)


def _seen_so_far(slide: Slide, plan: TilePlan, params: ScoreParams, job: ScoreJob) -> SeenTiles:
    """The tiles that were looked at before a cancel, from where they are kept.

    Raises
    ------
    Cancelled
        If there are none.
    """
    for scale in params.scales:
        plan = replace(plan, places=only_kept(slide, plan.scaled(scale), job).places)
    if not len(plan):
        raise Cancelled
    return _look(slide, plan, params, job, Task())


def _look(
    slide: Slide,
    plan: TilePlan,
    params: ScoreParams,
    job: ScoreJob,
    task: Task,
    *,
    first: Box | None = None,
    grown: GrowingMap | None = None,
) -> SeenTiles:
    """Look at the tiles of a plan at every scale."""
    vectors: list[TileVectors] = []
    for scale in params.scales:
        tell = grown.add if grown is not None and not vectors else None
        vectors.append(embed_tiles(slide, plan.scaled(scale), job, task, first=first, seen=tell))
    return SeenTiles(slide.key, slide.mpp, plan, tuple(vectors))


def ask(
    seen: SeenTiles, params: ScoreParams, job: ScoreJob, task: Task, texts: TextCache | None = None
) -> ScoreMap:
    """The maps of some texts on tiles that were looked at: no tile is read.

    Every text starts with a threshold of one half: from there on it fits a tile better than the
    other texts and the contrasts together.
    """
    return _answer(seen, embed_queries(params, job, task, texts or TextCache()))


def _answer(seen: SeenTiles, asked: TextEmbeddings) -> ScoreMap:
    scores = asked.scores(seen.similarities(asked.rows))
    return asked.on(seen.slide_key, seen.mpp, seen.plan)(scores, seen.plan.places)


def manual(value: float) -> Threshold:
    """A threshold a person typed.

    Raises
    ------
    PromptError
        If it is not in [0, 1].
    """
    if not 0 <= value <= 1:
        raise PromptError(f"A threshold lies between 0 and 1, not at {value}.")
    return Threshold(value, "typed")
