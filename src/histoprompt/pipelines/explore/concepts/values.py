"""What tiles are worth on each concept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, ParameterError, Remedy
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.embedding.prefetch import prefetch
from histoprompt.pipelines.embedding.tiles import EmbedJob, read_square
from histoprompt.pipelines.embedding.words import TEMPLATES, Query, ensemble, queries
from histoprompt.pipelines.explore.concepts.measured import MEASURED, MPP, measure
from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet

Float = NDArray[np.float32]
Opener = Callable[[TiledSlide], AbstractContextManager[Slide]]

_TEMPLATES = "conch"
_BATCH = 64


@dataclass(frozen=True)
class Concept:
    """Something that is seen in a tile more or less.

    Attributes
    ----------
    name : str
        For people; no two concepts have the same.
    phrase : str
        Wordings with bars between; empty for a measured property.
    """

    name: str
    phrase: str = ""


def concepts_of(phrases: Sequence[str], *, measured: bool) -> tuple[Concept, ...]:
    """Phrases, then measured properties. A phrase that is the name of one is told as a phrase.

    Raises
    ------
    PromptError
        If a phrase is empty or comes twice.
    ParameterError
        If there is no concept at all.
    """
    said = queries(phrases) if phrases else ()
    own = MEASURED if measured else ()
    if not said and not own:
        raise ParameterError("There is no concept: give phrases, or let properties be measured.")
    found = [
        Concept(f"{one.name} (phrase)" if one.name in own else one.name, " | ".join(one.synonyms))
        for one in said
    ]
    return (*found, *(Concept(name) for name in own))


def values_of(
    tiles: TileSet, concepts: Sequence[Concept], job: EmbedJob, opener: Opener, task: Task
) -> Float:
    """Values (n, k) of tiles on concepts: cosines of phrases, and measured properties.

    Parameters
    ----------
    tiles : TileSet
    concepts : sequence of Concept
    job : EmbedJob
        Of the encoder that made the vectors.
    opener : callable
        Opens a slide whose tiles are measured; not called where nothing is.
    task : Task

    Raises
    ------
    ModelError
        If there are phrases, and the vectors lie in no space of texts.
    PromptError
        If the model does not know a phrase.
    """
    out = np.zeros((len(tiles), len(concepts)), np.float32)
    said = [k for k, one in enumerate(concepts) if one.phrase]
    if said:
        texts = _phrase_vectors([concepts[k].phrase for k in said], job, task)
        out[:, said] = unit_rows(np.asarray(tiles.vectors, np.float32)) @ texts.T
    rest = [k for k, one in enumerate(concepts) if not one.phrase]
    if rest:
        columns = [MEASURED.index(concepts[k].name) for k in rest]
        out[:, rest] = _measured(tiles, opener, task)[:, columns]
    return out


def _phrase_vectors(phrases: Sequence[str], job: EmbedJob, task: Task) -> Float:
    if job.card.role != "text":
        raise ModelError(
            f"{job.card.title} knows no words: leave phrases out, or take an encoder that compares "
            "pictures with words.",
            remedy=Remedy.MODELS,
        )
    with job.manager.lease(job.card, task, job.weights) as model:
        rows = [ensemble(model, Query.parse(one), TEMPLATES[_TEMPLATES]) for one in phrases]
    return np.stack(rows)


def _measured(tiles: TileSet, opener: Opener, task: Task) -> Float:
    """Measured properties (n, 18) of tiles, slide by slide."""
    out = np.zeros((len(tiles), len(MEASURED)), np.float32)
    done = 0
    for number, about in enumerate(tiles.slides):
        rows = tiles.rows_of(number)
        if not len(rows):
            continue
        with opener(about) as slide:
            for start in range(0, len(rows), _BATCH):
                part = rows[start : start + _BATCH]
                task.step(done, len(tiles), f"Measuring tiles of {about.name}")
                out[part] = measure(_pictures(slide, about, tiles.boxes[part]))
                done += len(part)
    task.step(len(tiles), len(tiles), "Done")
    return out


def _pictures(slide: Slide, about: TiledSlide, boxes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Tiles as (n, p, p, 3) uint8 at the measures' own scale."""
    side = int((boxes[:, 2:] - boxes[:, :2]).max())
    pixels = max(2, round(side * (about.mpp or MPP) / MPP))
    squares = [Box(r, c, r + side, c + side) for r, c in boxes[:, :2].tolist()]
    return np.stack(list(prefetch(squares, lambda box: read_square(slide, box, pixels), _BATCH)))
