"""The models of the registry as a table."""

from __future__ import annotations

from histoprompt.core.prompts.prompt import KIND_WORDS
from histoprompt.models import registry
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights.find import megabytes

_ROLES = {
    "cells": "all nuclei",
    "text": "images and words",
    "encoder": "features of tiles",
    "sentence": "what phrases mean",
    "classifier": "classes of cells",
}


def table() -> str:
    """The models of the registry."""
    head = ["id", "model", "what it does", "weights", "licence", "access", "in short"]
    rows = [
        [
            f"`{card.id}`",
            card.title,
            _purpose(card),
            _weights(card),
            card.licence,
            _access(card),
            _short(card),
        ]
        for card in registry.all_cards()
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _short(card: ModelCard) -> str:
    """What there is to say of it, with the robustness of an encoder where it is published."""
    index = "" if card.robustness is None else f" Robustness index {card.robustness:.3f}."
    return card.description + index


def _purpose(card: ModelCard) -> str:
    """Its role, or the prompts it takes."""
    if card.role == "prompt":
        return "prompts: " + ", ".join(w for k, w in KIND_WORDS.items() if k in card.accepts)
    return _ROLES[card.role]


def _access(card: ModelCard) -> str:
    """What stands between a user and the weights."""
    gated = any(spec.hub is not None and spec.hub.gated for spec in card.files)
    steps = ["ask its owner, token"] * gated + ["accept terms"] * (card.terms is not None)
    return ", ".join(steps) or "free"


def _weights(card: ModelCard) -> str:
    """Where the weights come from."""
    if card.needs is not None:
        return f"those of the package `{card.needs[0]}`, or your own"
    return "; ".join(_source(spec) for spec in card.files) or "none needed"


def _source(spec: WeightsSpec) -> str:
    if spec.package is not None:
        return f"comes with the package `{spec.package[0].replace('_', '-')}`"
    about = "" if spec.n_bytes else "~"
    size = "" if spec.approx_bytes is None else f"{about}{megabytes(spec.approx_bytes)}"
    return ", ".join(filter(None, (f"[{spec.filename}]({spec.source})", size)))
