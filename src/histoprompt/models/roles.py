"""What a model must do, by role.

Models are stateless values: what one call needs from an earlier one travels in an `Embedding`.
Inside a model all positions are pixels of the image it was given, (row, col).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt, PromptKind
from histoprompt.core.results import Mask


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a model made of an image; opaque but to the model that made it.

    Attributes
    ----------
    model_id : str
        The card's id.
    shape : (rows, cols)
        Of the image.
    data : object
        The model's own; tensors are kept on the CPU so that a cached embedding holds no GPU memory.
    n_bytes : int
        Memory taken, for the cache.
    """

    model_id: str
    shape: tuple[int, int]
    data: Any
    n_bytes: int


@runtime_checkable
class PromptSegmenter(Protocol):
    """Segments one object at a time from clicks, boxes or scribbles."""

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt the model was trained for."""

    def embed(self, image: NDArray[np.uint8]) -> Embedding:
        """Look at an (h, w, 3) uint8 RGB image once, for any number of prompts."""

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        """Segment several objects of one image.

        Parameters
        ----------
        embedding : Embedding
            From `embed` of the same model.
        prompts : sequence of Prompt
            In pixels of the image; of accepted kinds only. A model whose card says `corrects` is
            shown `Prompt.previous`, others leave it aside.

        Returns
        -------
        list of list of Mask
            For each prompt its candidate masks, best first, (h, w) bool each, framed on the image;
            with the logits they were made of, if the card says `corrects`.

        Raises
        ------
        PromptError
            If a prompt is of a kind the model does not accept.
        """


@runtime_checkable
class CellSegmenter(Protocol):
    """Finds all cells, or all nuclei, of an image."""

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Label an (h, w, 3) uint8 RGB image at the card's mpp.

        Returns
        -------
        (h, w) int32
            0 background, cells from 1 without gaps.
        """


@runtime_checkable
class SteppedSegmenter(CellSegmenter, Protocol):
    """A cell segmenter that looks at an image window by window, and can be stopped in between."""

    def stepping(self, step: Callable[[], object]) -> CellSegmenter:
        """The same model, which calls `step` before each window; what that raises ends the look."""


@runtime_checkable
class CellEmbedder(CellSegmenter, Protocol):
    """A cell segmenter that also hands out what its encoder saw of each cell, in the same look."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name a column of the features."""

    def segment_described(
        self, image: NDArray[np.uint8], inside: Box | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label an (h, w, 3) uint8 RGB image at the card's mpp, and describe each cell.

        Parameters
        ----------
        image : (h, w, 3) uint8
        inside : Box, optional
            Pixels of the image that lie on the slide; what is beyond, a mirror image, describes no
            cell. All of them if not given.

        Returns
        -------
        (h, w) int32, (n, k) float32
            Labels as `segment` gives them; row i describes label i + 1, in the order of
            `feature_names`, NaN for a cell wholly beyond.
        """


@runtime_checkable
class MaskDescriber(Protocol):
    """A cell segmenter that tells what its encoder saw of cells that somebody else outlined."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name a column of the features."""

    def describe(self, image: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.float32]:
        """Describe given cells of an (h, w, 3) uint8 RGB image at the card's mpp.

        Parameters
        ----------
        image : (h, w, 3) uint8
        labels : (h, w) int32
            0 background, cells from 1; what lies beyond the slide has none.

        Returns
        -------
        (n, k) float32
            Row i describes label i + 1; NaN for a label that no pixel has.
        """


@runtime_checkable
class CellScorer(CellSegmenter, Protocol):
    """A cell segmenter that says of each cell how likely it is one."""

    def segment_scored(
        self, image: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Labels as `segment` gives them, and the (n,) probability of each; None if unknown."""


@runtime_checkable
class TrainingAware(Protocol):
    """A model that knows what it has learnt from."""

    def strangeness(self, fields: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32] | None:
        """How unlike all that was learnt from each (h, w, 3) field at the card's mpp looks, (n,).

        Above 1 hardly anything that was learnt from is. None if the weights do not say.
        """


@runtime_checkable
class TileEncoder(Protocol):
    """Turns tiles into feature vectors for linear models, forests and searches."""

    @property
    def width(self) -> int:
        """Length of a feature vector."""

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of (n, h, w, 3) uint8 RGB tiles at the card's mpp, (n, width), as published.

        Tiles of any size are brought to the network's input as its publication says.
        """


@runtime_checkable
class TextScorer(Protocol):
    """Images and texts in one space, compared by their cosine."""

    @property
    def logit_scale(self) -> float:
        """What a cosine is multiplied by before a softmax over texts, as trained."""

    def embed_images(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (n, d) of (n, h, w, 3) uint8 RGB tiles at the card's mpp."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (m, d) of texts.

        Raises
        ------
        PromptError
            If the model cannot know a text; the message says what it knows.
        """


@runtime_checkable
class SentenceEncoder(Protocol):
    """Texts as vectors: what means the same lies close together. It sees no pictures."""

    @property
    def width(self) -> int:
        """Length of a vector."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (m, d) of texts.

        Raises
        ------
        PromptError
            If there is no text, or one is empty.
        """


@runtime_checkable
class TokenScorer(TextScorer, Protocol):
    """A text scorer that also tells what it sees in each part of a tile."""

    def embed_tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (n, rows, cols, d) of the patches of (n, h, w, 3) uint8 RGB square tiles.

        They lie in the space of `embed_texts`; patches are of one size and cover the whole tile.
        """
