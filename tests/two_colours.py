"""A slide of pink, purple and glass, and a text scorer that knows these colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.score_job import ScoreJob

PINK, PURPLE, GLASS = (225, 150, 190), (150, 110, 180), (243, 243, 243)
CARD = ModelCard(
    "colours", "text", "Colours", "two_colours:load", input_size=16, mpp=1.0, memory_mib=1
)
# Level-0 pixels a tile of the card covers on the slide.
SIDE = 32
PURPLE_ROWS = slice(128, 256)


def two_colours(shape: tuple[int, int] = (384, 512), mpp: float | None = 0.5) -> Slide:
    """Pink with a purple band (rows 128 ... 255) on the left three quarters, glass on the right."""
    image = np.empty((*shape, 3), np.uint8)
    image[:] = PINK
    image[PURPLE_ROWS] = PURPLE
    image[:, shape[1] * 3 // 4 :] = GLASS
    noise = np.random.default_rng(5).integers(-4, 5, image.shape)
    return Slide.from_arrays(
        "two colours", [(image + noise).clip(0, 255).astype(np.uint8)], mpp=mpp
    )


WORDS = {"pink": PINK, "purple": PURPLE, "glass": GLASS}


class Colours:
    """A `TokenScorer`: the vector of a tile is its mean colour.

    Attributes
    ----------
    seen : int
        How many tiles were embedded.
    fail_after : int or None
        Raise a `RuntimeError` once so many tiles were embedded.
    """

    logit_scale = 20.0

    def __init__(self) -> None:
        self.seen = 0
        self.fail_after: int | None = None

    def embed_images(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen += len(tiles)
        if self.fail_after is not None and self.seen > self.fail_after:
            raise RuntimeError("the power went off")
        return _unit(tiles.reshape(len(tiles), -1, 3).mean(axis=1))

    def embed_tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen += len(tiles)
        n, side = tiles.shape[:2]
        cells = tiles.reshape(n, side // 4, 4, side // 4, 4, 3).mean(axis=(2, 4))
        return _unit(cells.reshape(-1, 3)).reshape(n, side // 4, side // 4, 3)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = [[w for w in WORDS if w in text.lower()] for text in texts]
        if not all(len(words) == 1 for words in found):
            raise PromptError(f"This model knows {', '.join(WORDS)}.")
        return _unit(np.array([WORDS[words[0]] for words in found]))


def _unit(colours: NDArray[np.generic]) -> NDArray[np.float32]:
    centred = np.asarray(colours, np.float32) - (190, 150, 200)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), np.float32)


def job_of(model: Colours, folder: Path, batch: int = 8) -> ScoreJob:
    """A job with this model and its own stores."""
    return ScoreJob(
        ModelManager("cpu", 100.0, load=lambda *_: model), CARD, stores=folder, batch=batch
    )


def load(*_: object) -> Colours:
    """The loader its card names."""
    return Colours()
