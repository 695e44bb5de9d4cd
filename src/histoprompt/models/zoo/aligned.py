"""Vocabularies of one's own: an image encoder and a text encoder brought together by `align`.

A file holds what maps the features of the one onto those of the other, and names both encoders; it
is a `TextScorer`, so that any text can be searched for. With TF-IDF in place of a text encoder only
words of the sentences it was made from are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core import settings
from histoprompt.core.errors import ModelError, PromptError, WeightsError
from histoprompt.models import registry
from histoprompt.models import weights as weight_files
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.roles import MaskDescriber, TextScorer, TileEncoder
from histoprompt.models.zoo.aligned_file import (
    Adapter,
    AdapterHeader,
    TfIdf,
    read_aligned,
    read_head,
)

Float = NDArray[np.float32]
FOLDER, SUFFIX = "aligned", ".safetensors"
_NO_LETTERS: Final = re.compile(r"[^a-z0-9]+")


def tile_features(model: Any, tiles: NDArray[np.uint8]) -> Float:
    """Features (n, d) of (n, h, w, 3) uint8 tiles by whatever looks at images.

    An encoder's own; the vectors of the image tower of a text scorer; of a model of cells what its
    encoder saw of the whole tile.

    Raises
    ------
    ModelError
        If the model tells no features of tiles.
    """
    if isinstance(model, TileEncoder):
        return model.encode(tiles)
    if isinstance(model, TextScorer):
        return model.embed_images(tiles)
    if isinstance(model, MaskDescriber):
        whole = np.ones(tiles.shape[1:3], np.int32)
        found = np.concatenate([model.describe(tile, whole) for tile in tiles])
        return np.asarray(np.nan_to_num(found), np.float32)
    raise ModelError("This model tells no features of tiles: choose an encoder.")


class AlignedScorer:
    """A `TextScorer` of an image encoder and a text encoder, and a `TileEncoder`.

    Parameters
    ----------
    head : AdapterHeader
    adapter : Adapter
    image : object
        What looks at tiles.
    text : TfIdf or object with ``embed_texts``
    """

    def __init__(self, head: AdapterHeader, adapter: Adapter, image: Any, text: Any) -> None:
        self._head, self._adapter, self._image, self._text = head, adapter, image, text

    @property
    def logit_scale(self) -> float:
        """What a cosine is multiplied by before a softmax over texts, fitted to held-out pairs."""
        return float(self._head["logit_scale"])

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self._adapter.text_map.shape[1])

    def encode(self, tiles: NDArray[np.uint8]) -> Float:
        """As `embed_images`: there is no other length of these vectors."""
        return self.embed_images(tiles)

    def embed_images(self, tiles: NDArray[np.uint8]) -> Float:
        """Unit vectors (n, d) of (n, h, w, 3) uint8 RGB tiles."""
        return self._adapter.images(tile_features(self._image, tiles))

    def embed_texts(self, texts: Sequence[str]) -> Float:
        """Unit vectors (m, d) of texts.

        Raises
        ------
        PromptError
            If one is empty, or holds no word that was learnt from, where words are all there is.
        """
        if not texts or not all(text.strip() for text in texts):
            raise PromptError("A text to look for is empty: say what is to be found.")
        if not isinstance(self._text, TfIdf):
            return self._adapter.texts(self._text.embed_texts(texts))
        found = self._text.embed(texts)
        for text, row in zip(texts, found, strict=True):
            if not row.any():
                known = ", ".join(self._text.words[:40])
                raise PromptError(
                    f"{text!r} holds no word of the sentences that this vocabulary was made from. "
                    f"It knows {known}{' ...' if len(self._text.words) > 40 else ''}."
                )
        return self._adapter.texts(found)


def load(card: ModelCard, weights: Path, device: str) -> AlignedScorer:
    """The scorer of a file, with both encoders loaded.

    Raises
    ------
    WeightsError
        If the file is damaged, or weights of an encoder are missing.
    ModelError
        If an encoder is unknown or not installed.
    """
    head, adapter, words = read_aligned(weights)
    image = _encoder(head["image"], device)
    text = words if words is not None else _encoder(head["text"], device)
    return AlignedScorer(head, adapter, image, text)


def aligned_cards() -> Iterator[ModelCard]:
    """A card for each vocabulary that was made on this computer, by name."""
    folder = settings.weights_folder() / FOLDER
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.name.startswith("."):
            continue
        try:
            stat = path.stat()
            yield _card(path, f"{FOLDER}-{path.stem}", stat.st_size, stat.st_mtime_ns)
        except (WeightsError, OSError):
            continue  # what is damaged is no model; it is told of when it is named


def card_of_file(path: Path) -> ModelCard:
    """The card of a vocabulary that lies anywhere; its id is its path.

    Raises
    ------
    WeightsError
        If it is none.
    """
    place = path.absolute()
    if not place.is_file():
        raise WeightsError(f"{path} is not there. Name the file that `align` wrote.")
    stat = place.stat()
    return _card(place, str(place), stat.st_size, stat.st_mtime_ns)


def place_of(name: str) -> Path:
    """Where a vocabulary of a name is kept for the docks."""
    slug = _NO_LETTERS.sub("-", name.lower()).strip("-")[:60] or "own"
    return settings.weights_folder() / FOLDER / f"{slug}{SUFFIX}"


@lru_cache(maxsize=256)
def _card(path: Path, card_id: str, size: int, _: int) -> ModelCard:
    head = read_head(path)
    return ModelCard(
        id=card_id,
        role="text",
        title=f"{head['title']} (own words)",
        loader="histoprompt.models.zoo.aligned:load",
        input_size=head["pixels"],
        mpp=head["mpp"],
        licence="that of the sentences and of both encoders",
        citation="made on this computer",
        weights=WeightsSpec(str(path), "made on this computer", n_bytes=size),
        memory_mib=500,
        description=head["told"],
    )


def _encoder(model: str, device: str) -> Any:
    card = registry.card(model)
    return registry.load_model(card, weight_files.resolve(card), device)
