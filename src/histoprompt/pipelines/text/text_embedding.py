"""What is asked of tiles: texts and contrasts, how they are put, and their vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError, RefusedTextError
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.task import Task
from histoprompt.models.roles import TextScorer
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import SEEN_AT, TilePlan
from histoprompt.pipelines.embedding.words import (
    TEMPLATES,
    Query,
    TextCache,
    default_contrasts,
    ensemble,
    probabilities,
    queries,
)

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

    texts: Annotated[
        tuple[str, ...], Parameter("Texts", "What to look for, a map each.", option="text")
    ] = ()
    contrasts: Annotated[
        tuple[str, ...],
        Parameter("Held against", "What the texts are held against.", option="contrast"),
    ] = ()
    templates: Annotated[
        str,
        Parameter(
            "Word put as",
            "Sentences that a text is put into, as published with these models.",
            choices=tuple(TEMPLATES),
            advanced=True,
        ),
    ] = "conch"
    temperature: Annotated[
        float,
        Parameter(
            "Soften scores by",
            "1 leaves scores as they are; more draws them together, less pulls them apart.",
            low=0.01,
            high=100.0,
            advanced=True,
        ),
    ] = 1.0
    scales: Annotated[
        tuple[float, ...],
        Parameter(
            "Each tile",
            "How much a tile sees, in tiles: 1,2 also looks at its surroundings.",
            low=0.25,
            high=16.0,
            offers=(("by itself", (1.0,)), ("with its surroundings", (1.0, 2.0))),
            advanced=True,
        ),
    ] = (1.0,)
    overlap: Annotated[
        int,
        Parameter(
            "Steps per tile",
            "2 makes the map twice as fine, with four times the tiles.",
            low=1,
            high=8,
            advanced=True,
        ),
    ] = 1
    mpp: Annotated[float, SEEN_AT] = 0.0

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        PromptError
            If a number is out of its range or the templates are unknown.
        """
        check(self, PromptError)
        if not self.scales:
            raise PromptError("There is no scale: give one or more, such as 1,2.")


@dataclass(frozen=True, eq=False)
class TextEmbeddings:
    """Texts as vectors, ready to be held against tiles.

    Attributes
    ----------
    names : tuple of str
        Of the texts.
    rows : (m, d) float32
        Their unit vectors, then those of the contrasts.
    scale : float
        Of the model, over the temperature.
    rivals : tuple of str
        Names of the contrasts.
    facts : mapping of str to str
        For the score map.
    """

    names: tuple[str, ...]
    rows: NDArray[np.float32]
    scale: float
    rivals: tuple[str, ...]
    facts: Mapping[str, str]

    def scores(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, texts) probabilities of (n, m) cosines."""
        return probabilities(cosines, self.scale, len(self.names))

    def on(self, slide_key: str, mpp: float | None, plan: TilePlan) -> Callable[..., ScoreMap]:
        """Makes a score map of scores and places on the plan's grid."""
        everyone = [*self.names, *self.rivals]
        return partial(
            ScoreMap,
            self.names,
            grid=plan.grid,
            mpp=mpp,
            slide_key=slide_key,
            thresholds={name: _even(name, everyone) for name in self.names},
            facts=self.facts,
        )


def embed_queries(
    params: ScoreParams, job: ScoreJob, task: Task, cache: TextCache
) -> TextEmbeddings:
    """Embed texts and contrasts that the cache lacks, in one lease; raises as `score` does.

    All texts are asked before one is refused, so that the error names every one that is.
    """
    wanted, contrasts = _queries(params)
    templates, model_key = TEMPLATES[params.templates], f"{job.card.id}|{job.weights}"
    with job.manager.lease(job.card, task, job.weights) as model:
        rows, refused = [], list[tuple[str, PromptError]]()
        for query in wanted:
            task.repeat()  # a text in all its templates takes a second
            try:
                rows.append(_vector(model, query, templates, model_key, cache))
            except PromptError as error:
                refused.append((query.name, error))
        if refused:
            raise _refusal(refused)
        for query in contrasts:
            task.repeat()
            rows.append(_vector(model, query, templates, model_key, cache))
        scale = float(model.logit_scale) / params.temperature
    rivals = tuple(query.name for query in contrasts)
    names = tuple(query.name for query in wanted)
    return TextEmbeddings(names, np.stack(rows), scale, rivals, _facts(params, job, wanted, rivals))


def _even(name: str, all_names: Sequence[str]) -> Threshold:
    others = [other for other in all_names if other != name]
    return Threshold(EVEN, f"even odds against {', '.join(others)}; no tile was marked")


def _queries(params: ScoreParams) -> tuple[tuple[Query, ...], tuple[Query, ...]]:
    texts = queries(params.texts)
    if not params.contrasts:
        return texts, default_contrasts(texts)
    try:
        both = queries((*params.texts, *params.contrasts))
    except RefusedTextError as error:  # by what they are held against: no text is to be taken back
        raise PromptError(f"{error.fact} Mend what texts are held against.") from error
    return texts, both[len(texts) :]


def _refusal(refused: Sequence[tuple[str, PromptError]]) -> RefusedTextError:
    """Why the first text is refused, and which others are."""
    (name, first), *others = refused
    lead = "" if name in first.fact else f"{name!r} cannot be looked for. "
    more = f" Nor is this known: {', '.join(repr(other) for other, _ in others)}." if others else ""
    return RefusedTextError(
        f"{lead}{first.fact}{more}",
        [name for name, _ in refused],
        remedy=first.remedy,
        about=first.about,
    )


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
