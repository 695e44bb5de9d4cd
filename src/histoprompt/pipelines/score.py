"""Words to score maps: a slide, some texts, and for each text how well every tile fits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.score_map import ScoreMap, Threshold
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.roles import TextScorer
from histoprompt.pipelines.embedding_store import TileVectors
from histoprompt.pipelines.queries import (
    TEMPLATES,
    Query,
    TextCache,
    default_contrasts,
    ensemble,
    probabilities,
    queries,
)
from histoprompt.pipelines.score_tiles import ScoreJob, TilePlan, embed_tiles, plan_tiles

EVEN = 0.5


@dataclass(frozen=True)
class ScoreParams:
    """What to look for and how.

    Attributes
    ----------
    texts : tuple of str
        One map each; ``tumour | carcinoma`` gives synonyms. They compete with each other.
    contrasts : tuple of str
        What the texts are held against; the usual tissues that none of the texts means if empty.
    templates : str
        A key of `queries.TEMPLATES`.
    temperature : float
        Above 1 softens scores, below 1 sharpens them; thresholds at 0.5 stay where they are for
        one text with one contrast.
    scales : tuple of float
        Sides of what the model sees, as multiples of its tile: with (1, 2) each cell is also seen
        with its surroundings, and cosines are averaged.
    overlap : int
        Cells a tile along each axis.
    mpp : float
        Microns a pixel to show the slide at; 0 for what the model's card says.
    """

    texts: tuple[str, ...] = ()
    contrasts: tuple[str, ...] = ()
    templates: str = "conch"
    temperature: Annotated[float, {"min": 0.01, "max": 100.0, "label": "Temperature"}] = 1.0
    scales: tuple[float, ...] = (1.0,)
    overlap: Annotated[int, {"min": 1, "max": 8, "label": "Cells a tile"}] = 1
    mpp: Annotated[float, {"min": 0.0, "max": 16.0, "label": "Shown at (um/px)"}] = 0.0

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        PromptError
            If a number is out of its range or the templates are unknown.
        """
        if self.templates not in TEMPLATES:
            known = ", ".join(TEMPLATES)
            raise PromptError(f"There are no templates {self.templates!r}; there are {known}.")
        if not 0.01 <= self.temperature <= 100:
            raise PromptError(f"A temperature of {self.temperature} is not between 0.01 and 100.")
        if not self.scales or not all(0.25 <= s <= 16 for s in self.scales):
            raise PromptError(f"Scales lie between 0.25 and 16, such as 1,2; not {self.scales}.")
        if not 1 <= self.overlap <= 8 or self.mpp < 0:
            raise PromptError(
                f"Cells a tile lie between 1 and 8, not {self.overlap}, and um/px is not below 0."
            )


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

    def similarities(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (n, m) with (m, d) unit vectors, averaged over the scales."""
        found = self.vectors[0].similarities(texts)
        for vectors in self.vectors[1:]:
            found = found + vectors.similarities(texts)
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
    region : Box, optional
        Only this part, level-0 pixels.
    first : Box, optional
        What is in view; its tiles come first.
    texts : TextCache, optional
        Vectors of texts asked before.

    Raises
    ------
    PromptError
        If a text is empty, given twice, or one the model cannot know.
    MissingMppError, RegionError
        As for `plan_tiles`.
    """
    cache = texts or TextCache()
    params.check()
    _text_vectors(params, job, task, cache)
    seen = look(slide, params, job, task, region=region, first=first)
    return ask(seen, params, job, task, cache), seen


def look(
    slide: Slide,
    params: ScoreParams,
    job: ScoreJob,
    task: Task,
    *,
    region: Box | None = None,
    first: Box | None = None,
) -> SeenTiles:
    """Look at the tiles of a slide at every scale; as for `score`."""
    params.check()
    plan = plan_tiles(slide, job.card, region, mpp=params.mpp or None, overlap=params.overlap)
    vectors = tuple(
        embed_tiles(slide, plan.scaled(scale), job, task, first=first) for scale in params.scales
    )
    return SeenTiles(slide.key, slide.mpp, plan, vectors)


def ask(
    seen: SeenTiles, params: ScoreParams, job: ScoreJob, task: Task, texts: TextCache | None = None
) -> ScoreMap:
    """The maps of some texts on tiles that were looked at: no tile is read.

    Every text starts with a threshold of one half: from there on it fits a tile better than the
    other texts and the contrasts together.
    """
    wanted, contrasts = _queries(params)
    rows, scale = _text_vectors(params, job, task, texts or TextCache())
    scores = probabilities(seen.similarities(rows), scale / params.temperature, len(wanted))
    names = tuple(query.name for query in wanted)
    rivals = [c.name for c in contrasts]
    return ScoreMap(
        texts=names,
        scores=scores,
        places=seen.plan.places,
        grid=seen.plan.grid,
        mpp=seen.mpp,
        slide_key=seen.slide_key,
        thresholds={name: _even(name, [*names, *rivals]) for name in names},
        facts=_facts(params, job, wanted, rivals),
    )


def typed(value: float) -> Threshold:
    """A threshold a person typed.

    Raises
    ------
    PromptError
        If it is not in [0, 1].
    """
    if not 0 <= value <= 1:
        raise PromptError(f"A threshold lies between 0 and 1, not at {value}.")
    return Threshold(value, "typed")


def _even(name: str, all_names: Sequence[str]) -> Threshold:
    others = [other for other in all_names if other != name]
    return Threshold(EVEN, f"even odds against {', '.join(others)}; no tile was marked")


def _queries(params: ScoreParams) -> tuple[tuple[Query, ...], tuple[Query, ...]]:
    texts = queries(params.texts)
    if not params.contrasts:
        return texts, default_contrasts(texts)
    both = queries((*params.texts, *params.contrasts))
    return texts, both[len(texts) :]


def _text_vectors(
    params: ScoreParams, job: ScoreJob, task: Task, cache: TextCache
) -> tuple[NDArray[np.float32], float]:
    """The (m, d) vectors of texts and contrasts, and the model's scale; one lease."""
    texts, contrasts = _queries(params)
    templates, model_key = TEMPLATES[params.templates], f"{job.card.id}|{job.weights}"
    with job.manager.lease(job.card, task, job.weights) as model:
        rows = [_vector(model, q, templates, model_key, cache) for q in (*texts, *contrasts)]
        return np.stack(rows), float(model.logit_scale)


def _vector(
    model: TextScorer, query: Query, templates: tuple[str, ...], key: str, cache: TextCache
) -> NDArray[np.float32]:
    found = cache.get(key, query, templates)
    if found is None:
        found = ensemble(model, query, templates)
        cache.put(key, query, templates, found)
    return found


def _facts(
    params: ScoreParams, job: ScoreJob, wanted: Sequence[Query], rivals: Sequence[str]
) -> dict[str, str]:
    return {
        "model": job.card.id,
        "weights": job.digest,
        "texts": "; ".join(" | ".join(query.synonyms) for query in wanted),
        "contrasts": "; ".join(rivals),
        "contrasts chosen by": "user" if params.contrasts else "default",
        "templates": params.templates,
        "temperature": f"{params.temperature:g}",
        "scales": ", ".join(f"{s:g}" for s in params.scales),
    }
