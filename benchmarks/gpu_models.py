"""The models `bench_gpu.py` measures: with their weights, or with random ones where none are here.

Random weights lie in the published layout and go the way of a user's file. They take the memory and
time of trained ones; small networks of the same structure stand in for the published sizes unless
these are asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.task import Task
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.footprints import FootprintBook
from histoprompt.models.memory.manager import ModelManager

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models"))
import small_models
from short_type import rounding_to

__all__ = ["rounding_to"]

SIDE = 512


@dataclass(frozen=True)
class Subject:
    """A model to measure.

    Attributes
    ----------
    card : ModelCard
    weights : Path or None
        A file of random weights; None for the card's own.
    values : {"own", "random", "small"}
    """

    card: ModelCard
    weights: Path | None
    values: str


def networks(full: bool) -> AbstractContextManager[None]:
    """A block in which loaders build small networks, or those of the published sizes."""
    return nullcontext() if full else small_models.small_networks()


def subjects(ids: Sequence[str], folder: Path, full: bool) -> list[Subject]:
    """The models named, or all with weights that need no other package; call within `networks`.

    Of small networks that are the same but for their card's name the first stands for all.
    """
    cards = [registry.card(i) for i in ids] or [
        c for c in registry.all_cards() if c.weights is not None and not c.missing
    ]
    found = [subject(card, folder / card.id, full) for card in cards]
    first = {kind(model): model for model in reversed(found)}
    return [model for model in found if first[kind(model)] is model]


def kind(model: Subject) -> tuple[object, ...]:
    """Equal for small networks with the same loader and a file of the same size."""
    if model.weights is None or model.values != "small":
        return (model.card.id,)
    return model.card.loader.partition(":")[0], model.weights.stat().st_size


def subject(card: ModelCard, folder: Path, full: bool) -> Subject:
    if not small_models.needs_a_file(card):
        return Subject(card, None, "own")
    folder.mkdir()
    path = weights.resolve(card, small_models.save_random(card, folder))
    if full:
        return Subject(small_models.unchecked(card), path, "random")
    return Subject(small_models.small_card(card), path, "small")


def pictures(n: int) -> list[np.ndarray]:
    """Noise with dark discs, (SIDE, SIDE, 3) uint8: a network takes the same for any content."""
    rng = np.random.default_rng(0)
    rows, cols = np.ogrid[:SIDE, :SIDE]
    found = []
    for _ in range(n):
        image = rng.integers(180, 256, (SIDE, SIDE, 3), np.uint8)
        for r, c in rng.integers(20, SIDE - 20, (40, 2)):
            image[(rows - r) ** 2 + (cols - c) ** 2 < 100] = (90, 60, 140)
        found.append(image)
    return found


def box_prompt() -> Prompt:
    return Prompt.of_box(Box(SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2))


def manager_of(device: str, **options: Any) -> ModelManager:
    """A manager that remembers nothing from before."""
    return ModelManager(device, footprints=FootprintBook(None), **options)


def use(manager: ModelManager, model: Subject, image: np.ndarray) -> list[np.ndarray]:
    """One picture through a model."""
    with manager.lease(model.card, Task(), model.weights) as net:
        return work(net, model.card, image, nullcontext)


def work(
    net: Any, card: ModelCard, image: np.ndarray, looking: Callable[[], AbstractContextManager[Any]]
) -> list[np.ndarray]:
    """What a model makes of a picture, floats before masks or labels.

    Parameters
    ----------
    looking : callable
        Gives what to enter for all but the decoding of prompts, which stays float32. A model
        whose embedding is a plain image has only its decoding.
    """
    if card.role == "prompt":
        with looking():
            embedding = net.embed(image)
        late = isinstance(embedding.data, np.ndarray)
        with looking() if late else nullcontext():
            mask = net.segment(embedding, [box_prompt()])[0][0].array
        return [mask] if late else [*floats(embedding.data), mask]
    with looking():
        if card.role == "cells":
            return [net.segment(image)]
        tile = image[None, :224, :224]
        return [net.encode(tile) if card.role == "encoder" else net.embed_images(tile)]


def floats(data: Any) -> list[np.ndarray]:
    """The tensors and float arrays in an embedding, as arrays."""
    tensors = [v.float().cpu().numpy() for v in vars(data).values() if hasattr(v, "cpu")]
    arrays = [v for v in vars(data).values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    return tensors + arrays
