"""A segmenter without weights: stain, shape and similarity, on any machine in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.classical.outline import outline
from histoprompt.core.classical.scene import Scene
from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Frame
from histoprompt.core.prompts.prompt import Prompt, PromptKind
from histoprompt.core.results import Mask
from histoprompt.models.card import ModelCard
from histoprompt.models.roles import Embedding

CARD = ModelCard(
    id="classical",
    role="prompt",
    title="Classical (no weights)",
    loader="histoprompt.models.zoo.classical:load",
    accepts=frozenset({"point", "box", "scribble"}),
    licence="BSD-3-Clause",
    citation="Ruifrok and Johnston 2001 (stain); Grady 2005 (random walker with priors)",
    crop_px=256,
    max_fill=0.6,
    memory_mib=64,
    description=(
        "Haematoxylin, watershed and random walker: takes clicks, boxes and scribbles, at once "
        "and on any machine; follows colour, so pale or textured objects need scribbles."
    ),
)


class ClassicalSegmenter:
    """Outlines nuclei, and by scribbles anything of one colour or texture."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt it takes: all."""
        return self._card.accepts

    def embed(self, image: NDArray[np.uint8]) -> Embedding:
        """Separate the stains and find the nuclei of an (h, w, 3) uint8 RGB image, once."""
        scene = Scene.of_image(image)
        return Embedding(self._card.id, scene.shape, scene, scene.n_bytes)

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        """Outline the object of each prompt.

        Parameters
        ----------
        embedding : Embedding
            From `embed`.
        prompts : sequence of Prompt
            In pixels of the image.

        Returns
        -------
        list of list of Mask
            One (h, w) bool mask for each prompt, framed on the image. Its score is the contrast of
            the colours inside and just outside, which ranks masks (correlation with the true IoU
            of nuclei about 0.5) but does not measure their IoU.

        Raises
        ------
        PromptError
            If a prompt is empty.
        """
        return [[_segment(embedding.data, prompt)] for prompt in prompts]


def _segment(scene: Scene, prompt: Prompt) -> Mask:
    if not prompt.kinds:
        raise PromptError("The prompt is empty: give a click, a box or a scribble.")
    mask, contrast = outline(scene, prompt)
    return Mask(mask, Frame.of_array(mask), contrast)


def load(card: ModelCard, weights: Path | None, device: str) -> ClassicalSegmenter:
    """Make the segmenter; it has no weights and always runs on the CPU."""
    return ClassicalSegmenter(card)
