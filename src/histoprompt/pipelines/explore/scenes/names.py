"""Names of scenes in words, where words tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.registry import card
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.embedding.words import ensemble, queries
from histoprompt.pipelines.explore.pictures import Opener, pictures_of
from histoprompt.pipelines.explore.tile_set import TileSet

# Tiles of each scene that are looked at.
LOOKED_AT = 24
WORDS = ("tumour", "stroma", "muscle", "lymphocyte", "necrosis", "fat", "gland", "mucus", "blood")


@dataclass(frozen=True)
class SceneName:
    """What a scene is called.

    Attributes
    ----------
    name : str
        A word, or ``scene 3`` where none stands out.
    word : str
        The likeliest word all the same.
    margin : float
        How far its probability is ahead of the next word's, 0 to 1; NaN without words.
    """

    name: str
    word: str
    margin: float


def number_only(count: int) -> tuple[SceneName, ...]:
    """Names without words."""
    return tuple(SceneName(f"scene {k + 1}", "", float("nan")) for k in range(count))


def name_scenes(
    tiles: TileSet,
    typical: Sequence[NDArray[np.intp]],
    words: Sequence[str],
    model: str,
    *,
    least: float,
    manager: ModelManager,
    opener: Opener,
    task: Task,
) -> tuple[SceneName, ...]:
    """Name scenes by the words that fit their most typical tiles.

    A model of words is surest in comparison, so a word's fit is taken less its mean over all
    scenes, half and half with the plain fit.

    Parameters
    ----------
    tiles : TileSet
    typical : sequence of (k,) intp
        The most typical tiles of each scene.
    words : sequence of str
        At least two.
    model : str
        Id of a text scorer.
    least : float
        Margin below which a scene keeps its number.
    manager, opener, task

    Raises
    ------
    PromptError
        If the model does not know a word.
    """
    job = EmbedJob(manager, card(model))
    asked = queries(words)
    pixels = job.card.input_size or 224

    with manager.lease(job.card, task) as scorer:
        texts = np.stack([ensemble(scorer, query, ("{}",)) for query in asked])
        scale = float(scorer.logit_scale)
    rows = np.concatenate(typical)
    found = pictures_of(tiles, rows, pixels, opener, task)
    fits = []
    for some in typical:
        seen = job.embed(task, np.stack([found[row] for row in some.tolist()]))
        fits.append((seen @ texts.T).mean(axis=0))
    return _named(np.stack(fits), scale, words, least)


def _named(
    fit: NDArray[np.float32], scale: float, words: Sequence[str], least: float
) -> tuple[SceneName, ...]:
    """Names by the fit (scenes, words) of words."""
    fit = fit - fit.mean(axis=0) / 2
    grown = np.exp(scale * (fit - fit.max(axis=1, keepdims=True)))
    share = grown / grown.sum(axis=1, keepdims=True)
    taken: dict[str, int] = {}
    names = []
    for number, row in enumerate(share):
        order = np.argsort(-row, kind="stable")
        word, margin = words[int(order[0])], float(row[order[0]] - row[order[1]])
        if margin < least:
            names.append(SceneName(f"scene {number + 1}", word, margin))
            continue
        taken[word] = taken.get(word, 0) + 1
        name = word if taken[word] == 1 else f"{word} {taken[word]}"
        names.append(SceneName(name, word, margin))
    return tuple(names)
