"""Half precision, by card and device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from histoprompt.models.card import ModelCard


def half_on(card: ModelCard, device: str) -> str | None:
    """The short type this model computes in on this device; None for float32."""
    return card.half if device.startswith("cuda") else None


def computing_in(half: str | None, device: str) -> AbstractContextManager[Any]:
    """A block in which torch multiplies in a short type; weights and sums stay float32."""
    if half is None:
        return nullcontext()
    import torch

    return torch.autocast(torch.device(device).type, dtype=getattr(torch, half))
