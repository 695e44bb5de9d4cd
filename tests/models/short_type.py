"""What autocast makes of a network's numbers, at the speed of float32 on any processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def rounding_to(net: Any, half: str) -> Iterator[None]:
    """Round what every linear layer and convolution takes, holds and gives; sums stay float32.

    Processors without arithmetic of short types take minutes for what this does in a second.
    """
    import torch

    short = getattr(torch, half)
    layers = [
        m for m in net.modules() if isinstance(m, torch.nn.Linear | torch.nn.modules.conv._ConvNd)
    ]
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    hooks = []
    for layer in layers:
        for values in layer.parameters(recurse=False):
            values.data = values.data.to(short).float()
        hooks.append(layer.register_forward_pre_hook(lambda _, x: (x[0].to(short).float(),)))
        hooks.append(layer.register_forward_hook(lambda _, x, y: y.to(short).float()))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        net.load_state_dict(kept)
