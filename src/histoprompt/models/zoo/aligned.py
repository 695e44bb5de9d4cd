"""Vocabularies of one's own: an image encoder and a text encoder brought together by `align`.

A file holds what maps the features of the one onto those of the other, and names both encoders; it
is a `TextScorer`, so that any text can be searched for. With TF-IDF in place of a text encoder only
words of the sentences it was made from are known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from typing_extensions import TypedDict

from histoprompt.core import settings
from histoprompt.core.errors import ModelError, PromptError, Remedy, WeightsError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import Finite, Shape, parse_json
from histoprompt.core.vectors import unit_rows
from histoprompt.models import registry
from histoprompt.models import weights as weight_files
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.roles import MaskDescriber, TextScorer, TileEncoder

Float = NDArray[np.float32]
FORMAT: Final = "histoprompt-aligned-1"
FOLDER, SUFFIX = "aligned", ".safetensors"
TextKind = Literal["minilm", "biomedclip", "tfidf"]
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_NO_LETTERS: Final = re.compile(r"[^a-z0-9]+")
_LARGEST: Final = 1e12


class Head(TypedDict):
    """What the header of a file says."""

    title: str
    image: str
    text: TextKind
    logit_scale: Finite
    words: list[str]
    told: str
    pixels: Annotated[int, Field(ge=8, le=4096)]
    mpp: Finite | None


_SHAPE: Shape[Head] = Shape(Head)


@dataclass(frozen=True, eq=False)
class Adapter:
    """What maps features of images and of texts into one space.

    Attributes
    ----------
    image_mean, image_scale : (d,) float32
        Features of images are put on one scale first.
    image_map : (d, k) float32
        Linear, or the first layer where there is a second.
    image_bias : (k,) float32
    image_second : (k, m) float32 or None
        Second layer, after the negative values of the first became 0.
    text_mean : (t,) float32
    text_map : (t, m) float32
    """

    image_mean: Float
    image_scale: Float
    image_map: Float
    image_bias: Float
    text_mean: Float
    text_map: Float
    image_second: Float | None = None

    def images(self, features: Float) -> Float:
        """Unit vectors (n, m) of (n, d) features of images."""
        first = ((features - self.image_mean) / self.image_scale) @ self.image_map + self.image_bias
        if self.image_second is not None:
            first = np.maximum(first, 0) @ self.image_second
        return unit_rows(np.asarray(first, np.float32))

    def texts(self, features: Float) -> Float:
        """Unit vectors (n, m) of (n, t) features of texts."""
        return unit_rows(np.asarray((features - self.text_mean) @ self.text_map, np.float32))


@dataclass(frozen=True, eq=False)
class TfIdf:
    """Texts as weighed counts of their words.

    Attributes
    ----------
    words : tuple of str
    idf : (v,) float32
    """

    words: tuple[str, ...]
    idf: Float

    def embed(self, texts: Sequence[str]) -> Float:
        """Unit vectors (n, v); zeros for a text without a known word."""
        place = {word: i for i, word in enumerate(self.words)}
        counts = np.zeros((len(texts), len(self.words)), np.float32)
        for row, text in enumerate(texts):
            for word in words_of(text):
                if word in place:
                    counts[row, place[word]] += 1
        weighed = counts * self.idf
        length = np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-12)
        return np.asarray(weighed / length, np.float32)

    @classmethod
    def of(cls, texts: Sequence[str]) -> TfIdf:
        """All words of some texts, with the weights of scikit-learn's smooth idf."""
        sets = [set(words_of(text)) for text in texts]
        words = tuple(sorted(set[str]().union(*sets)))
        seen = np.array([sum(word in one for one in sets) for word in words], np.float64)
        return cls(words, (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32))


def words_of(text: str) -> list[str]:
    """The words of a text in small letters."""
    return _WORD.findall(text.lower())


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
    head : Head
    adapter : Adapter
    image : object
        What looks at tiles.
    text : TfIdf or object with ``embed_texts``
    """

    def __init__(self, head: Head, adapter: Adapter, image: Any, text: Any) -> None:
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


def write_aligned(path: Path, head: Head, adapter: Adapter, text: TfIdf | None = None) -> None:
    """Write a vocabulary; the file appears whole or not at all. Raises `ExportError`."""
    tensors: dict[str, NDArray[Any]] = {
        name: value for name, value in vars(adapter).items() if value is not None
    }
    if text is not None:
        tensors["idf"] = text.idf
    whole = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
    with replacing_file(path) as part:
        part.write_bytes(save(whole, {"format": FORMAT, "head": json.dumps(head)}))


def read_aligned(path: Path) -> tuple[Head, Adapter, TfIdf | None]:
    """Read a vocabulary.

    Raises
    ------
    WeightsError
        If it is missing, damaged or of another kind.
    """
    head, tensors = _opened(path, whole=True)
    idf = tensors.pop("idf", None)
    try:
        adapter = Adapter(**tensors)
        _check(head, adapter, idf)
    except (TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"{path} is damaged: {error}. Align again.") from error
    return head, adapter, None if idf is None else TfIdf(tuple(head["words"]), idf)


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
    head, _tensors = _opened(path, whole=False)
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


def _opened(path: Path, *, whole: bool) -> tuple[Head, dict[str, NDArray[Any]]]:
    tensors: dict[str, NDArray[Any]] = {}
    try:
        with safe_open(path, "np") as file:
            meta = file.metadata() or {}
            if whole:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}.") from error
    if meta.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no vocabulary of this version ({FORMAT}). Choose what `align` wrote.",
            remedy=Remedy.MODELS,
        )
    return _SHAPE.of(
        parse_json(meta["head"], str(path), WeightsError), str(path), WeightsError
    ), tensors


def _check(head: Head, adapter: Adapter, idf: Float | None) -> None:
    tensors: Mapping[str, Any] = vars(adapter)
    for name, value in tensors.items():
        if value is not None and (
            value.dtype != np.float32 or not np.isfinite(value).all() or abs(value).max() > _LARGEST
        ):
            raise ValueError(f"{name} holds values that are none")
    d, k = adapter.image_map.shape
    t, m = adapter.text_map.shape
    out = adapter.image_map if adapter.image_second is None else adapter.image_second
    wanted = [
        (adapter.image_mean.shape, (d,)), (adapter.image_scale.shape, (d,)),
        (adapter.image_bias.shape, (k,)), (adapter.text_mean.shape, (t,)), (out.shape[1:], (m,)),
    ]  # fmt: skip
    if any(given != shape for given, shape in wanted) or not (adapter.image_scale > 0).all():
        raise ValueError("its parts do not fit together")
    if (head["text"] == "tfidf") != (idf is not None) or (idf is not None and len(idf) != t):
        raise ValueError("its words do not fit its weights")
    if idf is not None and len(head["words"]) != len(idf):
        raise ValueError("its words do not fit their weights")
