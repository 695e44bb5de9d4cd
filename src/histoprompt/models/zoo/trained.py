"""Models that were trained on this computer: weights in a folder of their own, a card for each.

Beside the weights lies what is known of them, so that a person can tell them apart later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from histoprompt.core import settings
from histoprompt.core.errors import LabelError, ParameterError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import FEW_BYTES, Shape, read_json
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.zoo.histoprompt_lite import CELLS

FOLDER, SUFFIX, FACTS = "trained", ".safetensors", ".json"
_SOURCE = "trained on this computer"
_NO_LETTERS = re.compile(r"[^a-z0-9]+")


class _Kept(TypedDict):
    """What lies beside the weights."""

    title: str
    told: NotRequired[str]


_SHAPE: Shape[_Kept] = Shape(_Kept)


@dataclass(frozen=True)
class TrainedPlace:
    """Where a model of a name lies.

    Attributes
    ----------
    name : str
        As a person typed it.
    """

    name: str

    def __post_init__(self) -> None:
        if not self.slug:
            raise ParameterError(f"{self.name!r} is no name for a model: use letters or digits.")

    @property
    def slug(self) -> str:
        """The name as files have it."""
        return _NO_LETTERS.sub("-", self.name.lower()).strip("-")[:60]

    @property
    def weights(self) -> Path:
        """The weights."""
        return settings.weights_folder() / FOLDER / f"{self.slug}{SUFFIX}"

    @property
    def facts(self) -> Path:
        """What is known of them."""
        return self.weights.with_suffix(FACTS)

    @property
    def card_id(self) -> str:
        """The id of the card."""
        return f"{FOLDER}-{self.slug}"

    def describe(self, told: str, **facts: Any) -> None:
        """Write what is known of the model.

        Parameters
        ----------
        told : str
            A sentence for people.
        facts : JSON values

        Raises
        ------
        ExportError
            If it cannot be written.
        """
        content: Mapping[str, Any] = {"title": self.name, "told": told, **facts}
        replace_file(self.facts, json.dumps(content, indent=1, ensure_ascii=False))


def trained_cards() -> Iterator[ModelCard]:
    """A card for each model of all nuclei that was trained here, by name."""
    folder = settings.weights_folder() / FOLDER
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.name.startswith("."):
            continue
        beside = path.with_suffix(FACTS)
        stamp = beside.stat().st_mtime_ns if beside.is_file() else 0
        yield _card_of(path, path.stat().st_size, stamp)


@lru_cache(maxsize=256)
def _card_of(path: Path, size: int, _: int) -> ModelCard:
    """The card of a file; what lies beside it may be missing or damaged."""
    title, told = path.stem, ""
    try:
        raw = read_json(path.with_suffix(FACTS), LabelError, FEW_BYTES)
        kept = _SHAPE.of(raw, str(path), LabelError)
        title, told = kept["title"], kept.get("told", "")
    except LabelError:
        pass
    spec = WeightsSpec(f"{FOLDER}/{path.name}", _SOURCE, n_bytes=size)
    return replace(
        CELLS,
        id=f"{FOLDER}-{path.stem}",
        title=f"{title} (all nuclei, trained here)",
        licence="that of the labels it was trained on; it goes on from BSD-3-Clause weights",
        citation=_SOURCE,
        weights=spec,
        description=told or "Trained on this computer.",
    )
