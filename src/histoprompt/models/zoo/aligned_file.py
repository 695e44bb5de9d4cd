"""The file of a vocabulary of one's own: what maps images and texts into one space."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from typing_extensions import TypedDict

from histoprompt.core.errors import Remedy, WeightsError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import Finite, Shape, parse_json
from histoprompt.core.files.tensors import ordered
from histoprompt.core.vectors import unit_rows

Float = NDArray[np.float32]
FORMAT: Final = "histoprompt-aligned-1"
TextKind = Literal["minilm", "biomedclip", "tfidf"]
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_LARGEST: Final = 1e12


class AdapterHeader(TypedDict):
    """What the header of a file says."""

    title: str
    image: str
    text: TextKind
    logit_scale: Finite
    words: list[str]
    told: str
    pixels: Annotated[int, Field(ge=8, le=4096)]
    mpp: Finite | None


_SHAPE: Shape[AdapterHeader] = Shape(AdapterHeader)


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


def write_aligned(
    path: Path, head: AdapterHeader, adapter: Adapter, text: TfIdf | None = None
) -> None:
    """Write a vocabulary; the file appears whole or not at all. Raises `ExportError`."""
    tensors: dict[str, NDArray[Any]] = {
        name: value for name, value in vars(adapter).items() if value is not None
    }
    if text is not None:
        tensors["idf"] = text.idf
    whole = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
    with replacing_file(path) as part:
        part.write_bytes(ordered(save(whole, {"format": FORMAT, "head": json.dumps(head)})))


def read_aligned(path: Path) -> tuple[AdapterHeader, Adapter, TfIdf | None]:
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


def read_head(path: Path) -> AdapterHeader:
    """What the header of a file says; raises `WeightsError`."""
    return _opened(path, whole=False)[0]


def _opened(path: Path, *, whole: bool) -> tuple[AdapterHeader, dict[str, NDArray[Any]]]:
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


def _check(head: AdapterHeader, adapter: Adapter, idf: Float | None) -> None:
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
