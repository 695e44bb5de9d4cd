"""Whether a file holds the network of its model, before it is put in place or first used.

Only for files whose digest is not published: names and shapes of the tensors are compared with the
network, and no value is read.
"""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.errors import WeightsError
from histoprompt.models import registry
from histoprompt.models.blueprint import Blueprint, count
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights.checkpoints import read_shapes

# How far the values of a file may be from those of a network that is tried on it.
_CLOSE = 0.03


def check_fit(card: ModelCard, spec: WeightsSpec, path: Path, origin: str = "") -> None:
    """Refuse a file that holds another network than its model's.

    Parameters
    ----------
    card : ModelCard
        Whose file it is to be.
    spec : WeightsSpec
        Which of its files.
    path : Path
        Where it is.
    origin : str
        Where it came from, for messages.

    Raises
    ------
    WeightsError
        If it holds another network, or is no checkpoint; one line says what it is, what is needed
        and where they first differ.
    """
    blueprint = registry.blueprint_of(card, spec)
    if blueprint is None:
        return
    if fault := _misfit(blueprint, path, origin):
        fits = ", ".join(c.id for c in _others(card, path, blueprint))
        hint = f" It is made like the file of {fits}." if fits else ""
        raise WeightsError(
            f"{origin or path} is no {card.title}: {fault}.{hint} Choose the file of this model."
        )


def _misfit(blueprint: Blueprint, path: Path, origin: str = "") -> str:
    return blueprint.misfit(blueprint.rename(read_shapes(path, blueprint.under, origin)))


def _others(card: ModelCard, path: Path, wanted: Blueprint) -> list[ModelCard]:
    """The models this could be a file of; networks of another size are not built."""
    values = count(read_shapes(path, wanted.under))
    found = []
    for other in registry.all_cards():
        spec = other.weights
        if other.id != card.id and spec is not None and _close(spec.approx_bytes, 4 * values):
            blueprint = registry.blueprint_of(other, spec)
            if blueprint is not None and not _misfit(blueprint, path):
                found.append(other)
    return found


def _close(about: int | None, n_bytes: int) -> bool:
    return about is not None and abs(about - n_bytes) <= _CLOSE * n_bytes
