"""Weights in a few words, for lists."""

from __future__ import annotations

from urllib.parse import urlsplit

from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.weights.find import find, locate, megabytes, partial_bytes

_MB = 1_000_000


def size_of(card: ModelCard) -> str:
    """Size of all files together, "~" before what was worked out; a dash where none is known."""
    if card.approx_bytes is None:
        return "-"
    return f"{'~' if card.n_bytes is None else ''}{megabytes(card.approx_bytes)}"


def source_of(card: ModelCard) -> str:
    """Where the weights come from: a package, a repository of the hub, or a host."""
    if card.needs is not None:
        return f"package {card.needs[0]}"
    return ", ".join(dict.fromkeys(_source(spec) for spec in card.files)) or "-"


def state_of(card: ModelCard) -> str:
    """Whether the weights are there: "present", "missing", "1 of 2 files", "12 MB fetched" ..."""
    if card.missing:
        return f"needs pip install '{card.missing}'"
    if card.needs is not None:
        return "its package's own"
    if card.weights is None:
        return "none needed"
    there = [spec for spec in card.files if find(spec) is not None]
    if not locate(card).missing:
        return "present"
    begun = partial_bytes(card)
    if begun:
        return f"{begun / _MB:,.0f} MB fetched"
    return f"{len(there):,} of {len(card.files):,} files" if there else "missing"


def _source(spec: WeightsSpec) -> str:
    if spec.package is not None:
        return f"package {spec.package[0].replace('_', '-')}"
    if spec.hub is not None:
        return f"hf:{spec.hub.repo}"
    return urlsplit(spec.url or spec.source).hostname or spec.source
