"""Words without a network: a fixed list of tissue words, each spelt out in what can be seen.

Every tile becomes thirteen numbers (`core.tissue_look`), each put on a scale from -1 to 1, and
every word is a direction among them that was set by hand from what the tissue looks like in H&E
(``vocabulary.toml``). So a score can be explained, works on any machine at once, and is the line
that a trained image-text model has to beat. A text it does not know is refused, never guessed at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError, PromptError, Remedy
from histoprompt.core.tissue.look import FEATURES, look_at
from histoprompt.core.tissue.words import SYNONYMS, normal
from histoprompt.core.vectors import unit_rows
from histoprompt.models.card import ModelCard

CARD = ModelCard(
    id="vocabulary",
    role="text",
    title="Tissue words (no weights)",
    loader="histoprompt.models.zoo.vocabulary:load",
    input_size=64,
    licence="BSD-3-Clause",
    citation="Ruifrok and Johnston 2001 (stain); word definitions of this project",
    mpp=1.0,
    words=tuple(SYNONYMS),
    memory_mib=64,
    description=(
        "Knows a fixed list of tissue words by colour, nuclei and texture, and says which; at once "
        "and on any machine. The line a trained image-text model has to beat."
    ),
)

# Share of tissue in a tile from which what is measured on tissue alone is trusted fully.
_ENOUGH_TISSUE = 0.04
_ON_TISSUE: Final = ("eosin", "dark", "elongated", "fibrous", "haze", "rough", "clumps")

# Words of prompts that say nothing of the tissue.
_FILLER_TEXT: Final = (
    "a an the of in on with at this that is are there and some image images patch tile picture "
    "photograph photomicrograph example slide histopathology histopathological pathology h&e "
    "stain stained showing show shown shows presence present tissue region area cell cluster "
    "field normal"
)


class VocabularyScorer:
    """A `TextScorer` of fourteen words and their synonyms, and a `TileEncoder`."""

    logit_scale = 12.0

    def __init__(self, card: ModelCard) -> None:
        self._mpp = card.mpp or 1.0

    @property
    def width(self) -> int:
        """Length of a vector."""
        return len(FEATURES)

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features on their scales, before they are brought to unit length; a `TileEncoder`.

        Raises
        ------
        ModelError
            If the array is not (n, h, w, 3) uint8.
        """
        if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8 or not len(tiles):
            raise ModelError(
                f"Tiles must be (n, rows, columns, 3) uint8, at least one, not {tiles.shape} "
                f"{tiles.dtype}."
            )
        return _scaled(look_at(tiles, self._mpp))

    def embed_images(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (n, 13) of (n, h, w, 3) uint8 RGB tiles at 1 um/px; see `encode`."""
        return unit_rows(self.encode(tiles))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (m, 13) of texts that name one known word each.

        Raises
        ------
        PromptError
            If there is no text, one is empty, or one holds no known word, more than one, or
            words that are not known.
        """
        if not texts or not all(text.strip() for text in texts):
            raise PromptError("A text to look for is empty: say what is to be found.")
        known = words()
        rows = [[known[word_in(text)].get(name, 0.0) for name in FEATURES] for text in texts]
        return unit_rows(np.array(rows, np.float32))


def words() -> Mapping[str, Mapping[str, float]]:
    """What each word looks like: 1 much of a feature, -1 little; what is left out is ignored."""
    found: Mapping[str, Mapping[str, float]] = _definitions()["words"]
    return found


def word_in(text: str) -> str:
    """Find the known word in a text such as ``an H&E image of necrotic tumour``.

    Raises
    ------
    PromptError
        If there is not exactly one; the message lists the words that are known.
    """
    left, found = f" {normal(text)} ", []
    for name, word in _names():
        if f" {name} " in left:
            left = left.replace(f" {name} ", " ")
            found.append(word)
    rest = [w for w in left.split() if w not in _fillers()]
    if len(set(found)) == 1 and not rest:
        return found[0]
    wrong = f"does not know {' '.join(rest)!r}" if rest else f"needs one tissue word in {text!r}"
    raise PromptError(
        f"The word list {wrong}. It knows {', '.join(words())}, and common synonyms of these. For "
        "other words choose a trained image-text model such as plip or quiltnet-b-32.",
        remedy=Remedy.MODELS,
    )


@cache
def _definitions() -> dict[str, Any]:
    text = files("histoprompt.models.zoo").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _names() -> tuple[tuple[str, str], ...]:
    """Every name in normal form and its word, names of more words first."""
    pairs = [(normal(name), word) for word in words() for name in (word, *SYNONYMS[word])]
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0].split())))


@cache
def _fillers() -> frozenset[str]:
    return frozenset(normal(_FILLER_TEXT).split())


def _scaled(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features on scales from -1 to 1; rare ones from 0 to their weight."""
    scales, rare = _definitions()["scales"], _definitions()["rare"]
    middle, step = np.array([scales[name] for name in FEATURES], np.float32).T
    out = np.tanh((found - middle) / step)
    tissue = 1 - found[:, FEATURES.index("white")]
    for name in _ON_TISSUE:
        out[:, FEATURES.index(name)] *= np.minimum(tissue / _ENOUGH_TISSUE, 1)
    for name, weight in rare.items():
        column = FEATURES.index(name)
        out[:, column] = weight * np.maximum(out[:, column], 0)
    return np.asarray(out, np.float32)


def load(card: ModelCard, weights: Path | None, device: str) -> VocabularyScorer:
    """Make the scorer; it has no weights and always runs on the CPU."""
    return VocabularyScorer(card)
