"""Segment Anything and those that differ from it in their weights only.

SAM ViT-B, ViT-L and ViT-H; MobileSAM, with a small encoder; PathoSAM, for nuclei in H&E; micro-sam,
for light microscopy. Recipe: facebookresearch/segment-anything, ``utils/transforms.py`` and
``modeling/sam.py``; the others were trained under the same one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, Terms, WeightsSpec
from histoprompt.models.networks.fitting import InputFit, longest_side, pad_square
from histoprompt.models.zoo.family import SamFamily

BLUEPRINT = "histoprompt.models.zoo.sam:blueprint"
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)

_META = "https://dl.fbaipublicfiles.com/segment_anything/"
_GWDG = "https://owncloud.gwdg.de/index.php/s/"
_BIOIMAGE = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io/"
# Of the networks `empty` builds: what their files hold.
VALUES = {"t": 10_140_231, "b": 93_735_728, "l": 312_343_088, "h": 641_090_864}
# Of the instance decoder: it has 9.6 or 11.0 million, and which of them only its file tells.
DECODER_VALUES = 10_300_000
MEMORY_MIB = {"t": 900, "b": 3000, "l": 4600, "h": 6200}
UNSTATED = "not stated for the weights (code MIT); several training sets are non-commercial"
PATHOSAM_TERMS = Terms(
    "No licence is stated for these weights, and several of the sets they were trained on allow "
    "non-commercial use only: ask the authors before any other use.",
    "https://github.com/computational-cell-analytics/patho-sam",
)


# No card has a `half`: segment_anything computes in float32 and has no autocast, and what trained
# weights lose in a short type was not measured. Random ones in ViT-B lose 0.1 % of the embedding in
# float16 and 0.7 % in bfloat16, which says nothing of channels that training made large.
def _card(card_id: str, title: str, size: str, weights: WeightsSpec, **more: Any) -> ModelCard:
    return ModelCard(
        id=card_id,
        role="prompt",
        title=title,
        loader="histoprompt.models.zoo.sam:load",
        architecture=f"vit_{size}",
        blueprint=BLUEPRINT,
        accepts=frozenset({"point", "box"}),
        corrects=True,
        input_size=1024,
        weights=weights,
        crop_px=512,
        memory_mib=MEMORY_MIB[size],
        **more,
    )


def _sam(size: str, filename: str, n_bytes: int, sha256: str) -> ModelCard:
    return _card(
        f"sam-vit-{size}",
        f"SAM ViT-{size.upper()}",
        size,
        WeightsSpec(filename, _META + filename, n_bytes, f"sha256:{sha256}"),
        licence="Apache-2.0",
        citation="Kirillov et al., Segment Anything, ICCV 2023",
        description="General purpose; takes clicks and boxes.",
    )


def pathosam_file(size: str, share: str, xxh128: str, part: str = "") -> WeightsSpec:
    """A file of PathoSAM; `part` is ``"_decoder"`` for its instance decoder."""
    name = f"vit_{size}_histopathology{part}.pt"
    source, digest = f"{_GWDG}{share}/download", f"xxh128:{xxh128}"
    return WeightsSpec(name, source, digest=digest, n_params=_values(size, part))


def microsam_file(size: str, record: str, xxh128: str, part: str = "") -> WeightsSpec:
    """A file of micro-sam's models for light microscopy; `part` as for `pathosam_file`."""
    url = f"{_BIOIMAGE}{record}/files/vit_{size}{part}.pt"
    name, digest = f"vit_{size}_lm{part}.pt", f"xxh128:{xxh128}"
    return WeightsSpec(name, url, digest=digest, n_params=_values(size, part))


def _values(size: str, part: str) -> int:
    return DECODER_VALUES if part else VALUES[size]


PATHOSAM_FILES = {
    "b": pathosam_file("b", "sBB4H8CTmIoBZsQ", "ffd1a2cd84570458b257bd95fdd8f974"),
    "l": pathosam_file("l", "IZgnn1cpBq2PHod", "b591833c89754271023e901281dee3f2"),
    "h": pathosam_file("h", "L7AcvVz7DoWJ2RZ", "bd1856dafc156a43fb3aa705f1a6e92e"),
}
MICROSAM_FILES = {
    "t": microsam_file("t", "faithful-chicken/1.1", "72ec5074774761a6e5c05a08942f981e"),
    "b": microsam_file("b", "diplomatic-bug/1.2", "fe9252a29f3f4ea53c15a06de471e186"),
    "l": microsam_file("l", "idealistic-rat/1.2", "017f20677997d628426dec80a8018f9d"),
}


def _pathosam(size: str) -> ModelCard:
    return _card(
        f"pathosam-vit-{size}",
        f"PathoSAM ViT-{size.upper()}",
        size,
        PATHOSAM_FILES[size],
        licence=UNSTATED,
        terms=PATHOSAM_TERMS,
        citation="Griebel et al., Segment Anything for Histopathology, MIDL 2025",
        description="SAM trained on nuclei in H&E; takes clicks and boxes.",
    )


def _microsam(size: str) -> ModelCard:
    return _card(
        f"microsam-vit-{size}-lm",
        f"micro-sam LM ViT-{size.upper()}",
        size,
        MICROSAM_FILES[size],
        licence="as on its page of bioimage.io",
        citation="Archit et al., Nature Methods 22 (2025)",
        description="SAM trained on cells and nuclei in light microscopy, hardly any of it H&E.",
    )


CARDS = (
    _sam(
        "b",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    _sam(
        "l",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    _sam(
        "h",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    _card(
        "mobile-sam",
        "MobileSAM (TinyViT)",
        "t",
        WeightsSpec(
            "mobile_sam.pt",
            "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
            40_728_226,
            "sha256:6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        ),
        licence="Apache-2.0",
        citation="Zhang et al., Faster Segment Anything, arXiv 2306.14289",
        description="SAM with a small encoder: a tenth of the work, clicks and boxes.",
    ),
    *(_pathosam(size) for size in "blh"),
    *(_microsam(size) for size in "tbl"),
)


def load(card: ModelCard, weights: Path, device: str) -> SamFamily:
    """SAM with the encoder of the card; raises WeightsError for a file of another kind."""
    return SamFamily(card, built(card, weights, device), device, prepare)


def built(card: ModelCard, weights: Path, device: str) -> Any:
    """The network of `segment_anything` with these weights, ready on the device.

    Parameters
    ----------
    card : ModelCard
        Its `architecture` says which encoder: ``"vit_t"``, ``"vit_b"``, ``"vit_l"`` or ``"vit_h"``.
    weights : Path
        In any layout `checkpoints.read_state` knows.
    device : str
        Where to put it.

    Raises
    ------
    WeightsError
        If the file holds another architecture.
    """
    from histoprompt.models.weights.checkpoints import load_weights

    return load_weights(Blueprint(empty(card.architecture)), weights, card.title).to(device)


def blueprint(card: ModelCard, spec: WeightsSpec) -> Blueprint:
    """What a file of SAM with the card's encoder has to hold."""
    return Blueprint(empty(card.architecture))


def empty(kind: str) -> Any:
    """The network before it has values, without SAM's mean and deviation: `prepare` applies them.

    On the meta device, as every value comes from the file and building ViT-H at random takes
    seconds; but not TinyViT, which keeps indices that are in no file.
    """
    import torch
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        net = sam_model_registry["vit_b" if kind == "vit_t" else kind]()
    del net.pixel_mean, net.pixel_std
    if kind == "vit_t":
        from histoprompt.models.networks.tiny_vit import MobileEncoder

        net.image_encoder = MobileEncoder(net.image_encoder.img_size)
    return net


def prepare(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], InputFit]:
    """Longest side to `side` bilinearly, mean and deviation of SAM, then zeros as padding."""
    from PIL import Image

    shape = image.shape[0], image.shape[1]
    inner = longest_side(shape, side)
    resized = Image.fromarray(image).resize(inner[::-1], Image.Resampling.BILINEAR)
    array = pad_square((np.asarray(resized, np.float32) - MEAN) / STD, side)
    return array, InputFit(shape, (inner[0] / shape[0], inner[1] / shape[1]), side, inner)
