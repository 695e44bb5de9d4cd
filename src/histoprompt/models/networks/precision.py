"""Half precision, by card and device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from histoprompt.models.card import ModelCard


def half_on(card: ModelCard, device: str) -> str | None:
    """The short type this model computes in on this device; None for float32."""
    if device.startswith("cuda"):
        return card.amp_dtype
    return card.cpu_amp_dtype if device == "cpu" and multiplies_bfloat16() else None


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16; without them it is slower."""
    import torch

    # Older and newer versions of torch name it otherwise: then it stays float32.
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known is not None and known())


def computing_in(half: str | None, device: str) -> AbstractContextManager[Any]:
    """A block in which torch multiplies in a short type; weights and sums stay float32."""
    if half is None:
        return nullcontext()
    import torch

    return torch.autocast(torch.device(device).type, dtype=getattr(torch, half))
