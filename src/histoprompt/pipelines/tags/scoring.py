"""Votes of wordings and views: which tag each candidate gets, and how much they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.core.tissue.words import same_word
from histoprompt.core.vectors import unit_rows
from histoprompt.models.roles import TextScorer
from histoprompt.pipelines.embedding.prefetch import prefetch
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import USUAL_MPP
from histoprompt.pipelines.embedding.tiles import embed_images, read_square, run_parts
from histoprompt.pipelines.embedding.words import (
    TEMPLATES,
    Query,
    default_contrasts,
    ensemble,
    probabilities,
)
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.tag_file import Tag
from histoprompt.pipelines.tags.views import VIEWS, ZOOM, seen

Float = NDArray[np.float32]
# Side of the picture of a candidate that a person is shown.
PICTURE = 64
_LEAST_PIXELS = 8


@dataclass(frozen=True, eq=False)
class WordingVectors:
    """The wordings of all tags as vectors.

    Attributes
    ----------
    tags : tuple of Tag
    rows : tuple of (w, d) float32
        Unit vectors of each tag's wordings.
    rivals : (c, d) float32
        Of what no tag means.
    rival_names : tuple of str
    scale : float
        What cosines are multiplied by.
    """

    tags: tuple[Tag, ...]
    rows: tuple[Float, ...]
    rivals: Float
    rival_names: tuple[str, ...]
    scale: float

    @property
    def rounds(self) -> int:
        """How often each view votes: as often as the tag with most wordings has some."""
        return max(len(rows) for rows in self.rows)


@dataclass(frozen=True, eq=False)
class Votes:
    """What n candidates were told by words.

    Attributes
    ----------
    vectors : (n, d) float32
        Mean over the views, unit length.
    counts : (n, k + 1) int64
        Votes of each tag; the last are those of no tag.
    probability : (n, k) float32
        Of each tag, mean over the votes.
    wording : (n, k) int64
        The wording of each tag that fits best.
    pictures : (n, 64, 64, 3) uint8
    """

    vectors: Float
    counts: NDArray[np.int64]
    probability: Float
    wording: NDArray[np.int64]
    pictures: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def code(self) -> NDArray[np.int64]:
        """The tag with most votes of each candidate; k for no tag. Ties go to the likelier."""
        k = self.probability.shape[1]
        chance = np.concatenate([self.probability, 1 - self.probability.sum(1, keepdims=True)], 1)
        return np.asarray((self.counts + 0.5 * chance[:, : k + 1]).argmax(axis=1), np.int64)

    @property
    def entropy(self) -> NDArray[np.float64]:
        """Of each candidate's votes, 0 where they agree and 1 where all tags have as many."""
        share = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        logs = np.log(np.where(share > 0, share, 1))
        return np.asarray(-(share * logs).sum(axis=1) / np.log(self.counts.shape[1]) + 0.0)

    @property
    def margin(self) -> Float:
        """How far the likeliest tag is ahead of the next; its probability where there is one."""
        top = np.sort(self.probability, axis=1)
        if top.shape[1] == 1:
            return np.asarray(top[:, 0], np.float32)
        return np.asarray(top[:, -1] - top[:, -2], np.float32)


def read_words(tags: Sequence[Tag], params: TagParams, job: ScoreJob, task: Task) -> WordingVectors:
    """Embed all wordings.

    Raises
    ------
    PromptError
        If the model does not know one; the message names all that it does not know.
    """
    templates = TEMPLATES[params.templates]
    with job.manager.lease(job.card, task, job.weights) as model:
        _refuse_unknown(tags, model)
        rows = tuple(_embedded(tag.wordings, model, templates) for tag in tags)
        rivals = _rivals(tags, params)
        scale = float(model.logit_scale)
        width = rows[0].shape[1]
        against = _embedded(rivals, model, templates) if rivals else np.zeros((0, width))
    return WordingVectors(tuple(tags), rows, np.asarray(against, np.float32), rivals, scale)


def _embedded(words: Sequence[str], model: TextScorer, templates: Sequence[str]) -> Float:
    return np.stack([ensemble(model, Query(word, (word,)), templates) for word in words])


def _refuse_unknown(tags: Sequence[Tag], model: TextScorer) -> None:
    unknown: list[str] = []
    why = ""
    for tag in tags:
        for word in (*tag.wordings, *tag.is_not):
            try:
                model.embed_texts([word])
            except PromptError as error:
                unknown.append(f"{word!r} of {tag.name}")
                why = why or error.fact
    if unknown:
        raise PromptError(f"The model does not know {', '.join(unknown)}. {why}")


def _rivals(tags: Sequence[Tag], params: TagParams) -> tuple[str, ...]:
    """What the tags are held against: what they are said not to be, else the usual tissues.

    A cell is no tissue, so that cells compete with nothing but what a person names.
    """
    queries = [Query(tag.name, (tag.name, *tag.wordings)) for tag in tags]
    meant = frozenset[str]().union(*(query.meaning for query in queries))
    said = dict.fromkeys(word for tag in tags for word in tag.is_not)
    chosen = tuple(word for word in said if not same_word(word) & meant)
    if chosen or params.kind == "cells":
        return chosen
    return tuple(query.name for query in default_contrasts(queries))


def vote(
    slide: Slide, squares: Sequence[Box], words: WordingVectors, job: ScoreJob, task: Task
) -> Votes:
    """Show every candidate in ten views, and let the wordings vote.

    Parameters
    ----------
    slide : Slide
    squares : sequence of Box
        What is shown of each candidate, level-0 pixels.
    words : WordingVectors
    job : ScoreJob
    task : Task
        Told of every batch.
    """
    parts: list[tuple[Any, ...]] = []
    pictures: list[NDArray[np.uint8]] = []
    for vectors, shown in looked_at(slide, squares, job, task):
        parts.append(counted(vectors, words))
        pictures += shown
    whole = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return Votes(whole[0], whole[1], whole[2], whole[3], np.stack(pictures))


def looked_at(
    slide: Slide, squares: Sequence[Box], job: ScoreJob, task: Task
) -> Iterator[tuple[Float, list[NDArray[np.uint8]]]]:
    """Unit vectors (b, 10, d) of the views of candidates, batch by batch, with their pictures."""
    pixels = _pixels(slide, squares, job)
    rims = [_with_rim(box) for box in squares]
    wide = max(_LEAST_PIXELS, round(pixels * (1 + ZOOM)), PICTURE)
    read = prefetch(rims, lambda box: read_square(slide, box, wide), 2 * job.batch)
    for start in range(0, len(rims), job.batch):
        task.step(start, len(rims), f"Showing {slide.name} to {job.card.title}")
        batch = [next(read) for _ in rims[start : start + job.batch]]
        views = np.concatenate([seen(square, pixels) for square in batch])
        vectors = np.asarray(run_parts(job, task, embed_images, views), np.float32)
        yield vectors.reshape(len(batch), VIEWS, -1), [seen_once(square) for square in batch]
    task.step(len(rims), len(rims), "Done")


def counted(vectors: Float, words: WordingVectors) -> tuple[Any, ...]:
    """Votes of the views of some candidates.

    Each view votes once in each round; in round j the j-th wording of every tag stands for it,
    those with fewer begin anew.

    Parameters
    ----------
    vectors : (n, v, d) float32
        Unit vectors of the views.
    words : WordingVectors

    Returns
    -------
    vectors (n, d), counts (n, k + 1), probabilities (n, k), wordings (n, k)
    """
    n, v, d = vectors.shape
    k, flat = len(words.tags), vectors.reshape(n * v, d)
    counts = np.zeros((n, k + 1), np.int64)
    sums = np.zeros((n, k), np.float64)
    for turn in range(words.rounds):
        rows = np.stack([rows[turn % len(rows)] for rows in words.rows])
        asked = np.concatenate([rows, words.rivals])
        chance = probabilities(flat @ asked.T, words.scale, len(asked))
        winner = np.minimum(chance.argmax(axis=1), k).reshape(n, v)
        np.add.at(counts, (np.repeat(np.arange(n), v), winner.ravel()), 1)
        sums += chance[:, :k].reshape(n, v, k).mean(axis=1)
    mean = unit_rows(vectors.mean(axis=1))
    best = np.stack([(mean @ rows.T).argmax(axis=1) for rows in words.rows], axis=1)
    return mean, counts, (sums / words.rounds).astype(np.float32), best


def seen_once(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture of a candidate for people, (64, 64, 3)."""
    side = square.shape[0]
    rim = side * (1 - 1 / (1 + ZOOM)) / 2
    image = Image.fromarray(square)
    box = (rim, rim, side - rim, side - rim)
    return np.asarray(image.resize((PICTURE, PICTURE), Image.Resampling.BILINEAR, box=box))


def _with_rim(box: Box) -> Box:
    """The square and what larger views see around it."""
    rim = round(box.height * ZOOM / 2)
    return Box(box.r0 - rim, box.c0 - rim, box.r1 + rim, box.c1 + rim)


def _pixels(slide: Slide, squares: Sequence[Box], job: ScoreJob) -> int:
    """Pixels a side of each view: the network's, or those at the scale of a model that has one."""
    card = job.card
    largest = max((box.height for box in squares), default=_LEAST_PIXELS)
    if card.mpp is None or slide.mpp is None:
        return card.input_size or 224
    return min(
        max(_LEAST_PIXELS, round(largest * slide.mpp / (card.mpp or USUAL_MPP))),
        max(card.input_size, _LEAST_PIXELS),
    )
