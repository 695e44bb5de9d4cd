"""Models that are quick, deterministic and need no weights, to test what is built on models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.prompt import Prompt, PromptKind
from histoprompt.core.results import Mask
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.roles import Embedding

CARD = ModelCard(
    id="fake",
    role="prompt",
    title="Fake",
    loader="fakes:load",
    accepts=frozenset({"point", "box", "scribble"}),
    input_size=64,
    licence="BSD-3-Clause",
    crop_px=64,
    memory_mib=8,
    description="Draws the ellipse in the box, a disk at each click, the painted pixels.",
)
BOX_ONLY = replace(CARD, id="fake-box", title="Fake for boxes", accepts=frozenset({"box"}))
NEEDS_WEIGHTS = replace(
    CARD,
    id="fake-weights",
    title="Fake with weights",
    weights=WeightsSpec("fake.pth", "https://example.org/fake.pth", 4, "md5:" + "0" * 32),
)

CLICK_RADIUS = 6.0


class FakeSegmenter:
    """A `PromptSegmenter` in numpy.

    Attributes
    ----------
    embeds : int
        How many images were embedded.
    batches : list of int
        How many prompts each call of `segment` was given.
    """

    def __init__(self, card: ModelCard = CARD) -> None:
        self.card = card
        self.embeds = 0
        self.batches: list[int] = []

    @property
    def accepts(self) -> frozenset[PromptKind]:
        return self.card.accepts

    def embed(self, image: NDArray[np.uint8]) -> Embedding:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ModelError(f"An image must be (rows, columns, 3) uint8, not {image.shape}.")
        self.embeds += 1
        return Embedding(self.card.id, image.shape[:2], image.copy(), image.nbytes)

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        self.batches.append(len(prompts))
        return [self._masks(embedding.shape, prompt) for prompt in prompts]

    def _masks(self, shape: tuple[int, int], prompt: Prompt) -> list[Mask]:
        if refused := prompt.kinds - self.accepts:
            raise PromptError(f"{self.card.title} does not take {', '.join(refused)}.")
        frame = Frame(Box.of_shape(shape), shape)
        array = np.zeros(shape, bool)
        if prompt.box is not None:
            array |= ellipse_in(prompt.box, shape)
        for point, inside in zip(prompt.points, prompt.labels, strict=True):
            disk = ellipse_in(Box.around(*point, 2 * CLICK_RADIUS), shape)
            array = array | disk if inside else array & ~disk
        strokes = prompt.all_strokes()
        for line in strokes.positive:
            for point in line:
                array |= ellipse_in(Box.around(*point, max(strokes.width, 3)), shape)
        best = Mask(array, frame, 0.9)
        alone = len(prompt.points) == 1 and prompt.kinds == {"point"}
        return [best, Mask(np.zeros(shape, bool), frame, 0.1)] if alone else [best]


def ellipse_in(box: Box, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) bool: the ellipse inscribed in a box."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    (r, c), h, w = box.centre, box.height / 2, box.width / 2
    return np.asarray(((rows - r) / h) ** 2 + ((cols - c) / w) ** 2 <= 1)


def load(card: ModelCard, weights: Path | None, device: str) -> FakeSegmenter:
    """The loader its cards name."""
    return FakeSegmenter(card)
