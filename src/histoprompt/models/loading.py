"""From a card to a model in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histoprompt.models.card import ModelCard
from histoprompt.models.preload import smooth_import

Loader = Callable[[ModelCard, Path | None, str], Any]


def load_from_registry(card: ModelCard, weights: Path | None, device: str) -> Any:
    """Find the card's weights and load the model; what a manager does unless told otherwise.

    Raises
    ------
    WeightsError
        If the weights are missing or wrong.
    """
    from histoprompt.models.registry import load_model
    from histoprompt.models.weights import resolve

    path = resolve(card, weights)
    # A model without weights needs no torch; one of a package of its own may.
    heavy = path is not None or card.needs is not None
    with smooth_import() if heavy else contextlib.nullcontext():
        return load_model(card, path, device)
