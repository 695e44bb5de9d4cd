"""Segment Anything, ViT-B, ViT-L and ViT-H, and PathoSAM, which is SAM with weights for nuclei.

Recipe: facebookresearch/segment-anything, ``utils/transforms.py`` and ``modeling/sam.py``.
PathoSAM (computational-cell-analytics/patho-sam) was trained on raw RGB under the same recipe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.zoo.family import SamFamily
from histoprompt.models.zoo.fitting import Fit, longest_side, pad_square

MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)

_META = "https://dl.fbaipublicfiles.com/segment_anything/"


def _sam_card(size: str, filename: str, n_bytes: int, sha256: str, memory_mib: int) -> ModelCard:
    return ModelCard(
        id=f"sam-vit-{size}",
        role="prompt",
        title=f"SAM ViT-{size.upper()}",
        loader=f"histoprompt.models.zoo.sam:load_vit_{size}",
        accepts=frozenset({"point", "box"}),
        input_size=1024,
        licence="Apache-2.0",
        citation="Kirillov et al., Segment Anything, ICCV 2023",
        weights=WeightsSpec(filename, _META + filename, n_bytes, f"sha256:{sha256}"),
        field=512,
        memory_mib=memory_mib,
        description="General purpose; takes clicks and boxes.",
    )


PATHOSAM = ModelCard(
    id="pathosam-vit-b",
    role="prompt",
    title="PathoSAM ViT-B",
    loader="histoprompt.models.zoo.sam:load_vit_b",
    accepts=frozenset({"point", "box"}),
    input_size=1024,
    licence="not stated for the weights (code MIT); several training sets are non-commercial",
    citation="computational-cell-analytics/patho-sam",
    weights=WeightsSpec(
        filename="vit_b_histopathology.pt",
        source="https://owncloud.gwdg.de/index.php/s/sBB4H8CTmIoBZsQ/download",
        digest="xxh128:ffd1a2cd84570458b257bd95fdd8f974",
    ),
    field=512,
    memory_mib=3000,
    description="SAM trained on nuclei in H&E; takes clicks and boxes.",
)

CARDS = (
    _sam_card(
        "b",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        3000,
    ),
    _sam_card(
        "l",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        4600,
    ),
    _sam_card(
        "h",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        6200,
    ),
    PATHOSAM,
)


def load_vit_b(card: ModelCard, weights: Path, device: str) -> SamFamily:
    """SAM or PathoSAM with the base encoder; raises WeightsError for a file of another kind."""
    return SamFamily(card, build("vit_b", weights, card.title, device), device, prepare)


def load_vit_l(card: ModelCard, weights: Path, device: str) -> SamFamily:
    """SAM with the large encoder; raises WeightsError for a file of another kind."""
    return SamFamily(card, build("vit_l", weights, card.title, device), device, prepare)


def load_vit_h(card: ModelCard, weights: Path, device: str) -> SamFamily:
    """SAM with the huge encoder; raises WeightsError for a file of another kind."""
    return SamFamily(card, build("vit_h", weights, card.title, device), device, prepare)


def build(kind: str, weights: Path, title: str, device: str) -> Any:
    """The network of `segment_anything` with these weights, ready on the device.

    Parameters
    ----------
    kind : {"vit_b", "vit_l", "vit_h"}
        Which encoder.
    weights : Path
        In any layout `checkpoints.read_state` knows.
    title : str
        The model's name in error messages.
    device : str
        Where to put it.

    Raises
    ------
    WeightsError
        If the file holds another architecture.
    """
    import torch
    from segment_anything import sam_model_registry

    from histoprompt.models.checkpoints import load_weights

    # Without memory, as every value comes from the file: building ViT-H at random takes seconds.
    with torch.device("meta"):
        net = sam_model_registry[kind]()
    # SAM's own constants are in no checkpoint, and `prepare` applies them.
    del net.pixel_mean, net.pixel_std
    return load_weights(net, weights, title).to(device)


def prepare(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], Fit]:
    """Longest side to `side` bilinearly, mean and deviation of SAM, then zeros as padding."""
    from PIL import Image

    shape = image.shape[0], image.shape[1]
    inner = longest_side(shape, side)
    resized = Image.fromarray(image).resize(inner[::-1], Image.Resampling.BILINEAR)
    array = pad_square((np.asarray(resized, np.float32) - MEAN) / STD, side)
    return array, Fit(shape, (inner[0] / shape[0], inner[1] / shape[1]), side, inner)
