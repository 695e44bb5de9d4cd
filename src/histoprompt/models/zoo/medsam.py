"""MedSAM: SAM ViT-B trained on boxes in medical images, with a recipe of its own.

Recipe: bowang-lab/MedSAM, ``MedSAM_Inference.py``. It is not SAM's: the image becomes a square
whatever its aspect, is stretched to [0, 1] by its own extremes, and sees neither SAM's mean and
standard deviation nor padding. The quality head was not trained, so there is no score.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.networks.fitting import InputFit, min_max
from histoprompt.models.zoo.family import SamFamily
from histoprompt.models.zoo.sam import BLUEPRINT, VALUES, built

CARD = ModelCard(
    id="medsam",
    role="prompt",
    title="MedSAM ViT-B",
    loader="histoprompt.models.zoo.medsam:load",
    architecture="vit_b",
    blueprint=BLUEPRINT,
    accepts=frozenset({"box"}),
    input_size=1024,
    licence="Apache-2.0 (code); CC-BY-4.0 (Zenodo deposit of the weights)",
    citation="Ma et al., Nature Communications 15:654 (2024)",
    weights=WeightsSpec(
        filename="medsam_vit_b.pth",
        source="https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
        digest="md5:3bb6db55bd0c9ca30b61248bca72f8d6",
        n_params=VALUES["b"],
    ),
    crop_px=256,
    memory_mib=3000,
    description="The medical SAM in full size; takes boxes only and gives no score.",
)


def load(card: ModelCard, weights: Path, device: str) -> SamFamily:
    """Build the network with these weights.

    Raises
    ------
    WeightsError
        If the file holds no SAM ViT-B.
    """
    net = built(card, weights, device)
    return SamFamily(card, net, device, prepare, scored=False, resize_probabilities=True)


def prepare(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], InputFit]:
    """A square by cubic interpolation, cut to integers, then global min-max."""
    shape = image.shape[0], image.shape[1]
    array = np.ascontiguousarray(min_max(_square(image, side)).transpose(2, 0, 1))
    low = side // 4
    return array, InputFit(shape, (side / shape[0], side / shape[1]), low, (low, low))


def _square(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Each channel by itself: the same values as all at once, in a quarter of the time."""
    from skimage.transform import resize

    channels = [
        resize(
            image[..., i],
            (side, side),
            order=3,
            preserve_range=True,
            anti_aliasing=True,
            clip=False,
        )
        for i in range(3)
    ]
    within = np.clip(np.stack(channels, axis=-1), image.min(), image.max())
    return np.asarray(within, np.uint8)
