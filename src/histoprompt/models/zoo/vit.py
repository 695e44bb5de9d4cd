"""Encoders of tiles that are timm's vision transformers: Virchow, UNI, H-optimus, Phikon, DINOv2.

What differs between them is a table: the architecture, the numbers a tile is standardised with,
and which tokens make the feature vector. Sources: the models' hub pages and the loaders of
mahmoodlab/TRIDENT and lazyslide-models, read for facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models import key_maps
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, Terms, WeightsSpec, on_hub
from histoprompt.models.networks.precision import half_on
from histoprompt.models.networks.tile_input import IMAGENET, Recipe, features_of

if TYPE_CHECKING:
    from torch import Tensor

_H_OPTIMUS = Recipe(224, (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
# Options of all with gated layers.
_GATED = {"init_values": 1e-5, "dynamic_img_size": True, "img_size": 224}
_VIRCHOW = {**_GATED, "mlp_ratio": 5.3375, "global_pool": ""}


@dataclass(frozen=True)
class Architecture:
    """How a published encoder is built and read.

    Attributes
    ----------
    name : str
        timm's.
    values : int
        How many a file of it holds.
    options : dict
        Of ``timm.create_model``.
    gated : bool
        Whether its layers are ``SwiGLUPacked`` with ``SiLU``.
    with_mean : bool
        Whether the mean of the patch tokens follows the class token in the feature vector.
    recipe : Recipe
    """

    name: str
    values: int
    options: dict[str, Any] = field(default_factory=dict)
    gated: bool = False
    with_mean: bool = False
    recipe: Recipe = IMAGENET


ARCHITECTURES = {
    "virchow2": Architecture(
        "vit_huge_patch14_224",
        631_239_424,
        {**_VIRCHOW, "reg_tokens": 4},
        gated=True,
        with_mean=True,
    ),
    "virchow": Architecture(
        "vit_huge_patch14_224", 631_229_184, _VIRCHOW, gated=True, with_mean=True
    ),
    "uni": Architecture(
        "vit_large_patch16_224", 303_350_784, {"init_values": 1e-5, "dynamic_img_size": True}
    ),
    "uni2-h": Architecture(
        "vit_giant_patch14_224",
        681_394_176,
        {
            **_GATED,
            "depth": 24,
            "num_heads": 24,
            "embed_dim": 1536,
            "mlp_ratio": 5.33334,
            "no_embed_class": True,
            "reg_tokens": 8,
        },
        gated=True,
    ),
    "h-optimus-0": Architecture(
        "vit_giant_patch14_reg4_dinov2",
        1_134_774_272,
        {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": False},
        recipe=_H_OPTIMUS,
    ),
    "phikon-v2": Architecture("vit_large_patch16_224", 303_350_784, {"init_values": 1e-5}),
    "dinov2-vit-b": Architecture("vit_base_patch14_dinov2", 86_579_712, {"dynamic_img_size": True}),
    "dinov2-vit-l": Architecture(
        "vit_large_patch14_dinov2", 304_367_616, {"dynamic_img_size": True}
    ),
}


class VitEncoder:
    """A `TileEncoder` of one of `ARCHITECTURES`.

    Parameters
    ----------
    net : torch.nn.Module
        A timm vision transformer without head, in evaluation mode on the device.
    design : Architecture
    device : str
    half : str, optional
        As for `precision.computing_in`.
    """

    def __init__(
        self, net: Any, design: Architecture, device: str, half: str | None = None
    ) -> None:
        self._net = net
        self._design = design
        self._device = device
        self._half = half

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        return int(self._net.embed_dim) * (2 if self._design.with_mean else 1)

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of (n, h, w, 3) uint8 RGB tiles, (n, width); see `TileEncoder.encode`.

        Raises
        ------
        ModelError
            If the array is of another kind or empty.
        """
        return features_of(self._pooled, tiles, self._design.recipe, self._device, self._half)

    def _pooled(self, batch: Tensor) -> Tensor:
        """The class token and, where published so, the mean of the patches; registers are left."""
        import torch

        tokens: Tensor = self._net.forward_features(batch)
        if not self._design.with_mean:
            return tokens[:, 0]
        patches = tokens[:, self._net.num_prefix_tokens :]
        return torch.cat([tokens[:, 0], patches.mean(1)], dim=1)


def load(card: ModelCard, weights: Path, device: str) -> VitEncoder:
    """An encoder with these weights.

    Raises
    ------
    WeightsError
        If the file holds another architecture.
    """
    from histoprompt.models.weights.checkpoints import load_weights

    net = load_weights(blueprint(card), weights, card.title).to(device)
    return VitEncoder(net, ARCHITECTURES[card.id], device, half_on(card, device))


def blueprint(card: ModelCard, spec: WeightsSpec | None = None) -> Blueprint:
    """What the file of an encoder has to hold."""
    return Blueprint(build(ARCHITECTURES[card.id]), key_maps.to_timm_vit)


def build(design: Architecture, **changed: Any) -> Any:
    """The network on the meta device: every value is to come from a file.

    Parameters
    ----------
    design : Architecture
    **changed
        Options in place of the published ones, for smaller networks of the same structure.
    """
    import timm
    import torch
    from timm.layers.mlp import SwiGLUPacked

    gates = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU} if design.gated else {}
    options = {**design.options, **gates, "num_classes": 0, **changed}
    with torch.device("meta"):
        return timm.create_model(design.name, pretrained=False, **options)


_NO_COMMERCE = Terms(
    "Research only: CC BY-NC-ND 4.0 and the terms its owner shows before giving access. No "
    "commercial use, no passing on, not even of models trained on its features.",
    "https://creativecommons.org/licenses/by-nc-nd/4.0/",
)
_ACCESS = Terms(
    "The owner gives access on request, for purposes stated with the request.",
    "https://huggingface.co/paige-ai/Virchow",
)
_OWKIN = Terms(
    "Non-commercial research only, under Owkin's licence.",
    "https://huggingface.co/owkin/phikon-v2",
)
_BY_NC_ND = "CC-BY-NC-ND-4.0 (non-commercial), gated"


def _card(card_id: str, title: str, weights: WeightsSpec, **more: Any) -> ModelCard:
    return ModelCard(
        id=card_id,
        role="encoder",
        title=title,
        loader="histoprompt.models.zoo.vit:load",
        blueprint="histoprompt.models.zoo.vit:blueprint",
        input_size=ARCHITECTURES[card_id].recipe.side,
        weights=replace(weights, n_params=ARCHITECTURES[card_id].values),
        amp_dtype="float16",
        **more,
    )


CARDS = (
    _card(
        "virchow2",
        "Virchow2 (ViT-H/14)",
        on_hub("paige-ai/Virchow2", "pytorch_model.bin", gated=True),
        licence=_BY_NC_ND,
        citation="Zimmermann et al., arXiv 2408.00738",
        description="3.1 million slides at 5x to 40x; class token and mean of the patches.",
        terms=_NO_COMMERCE,
        mpp=0.5,
        robustness=0.861,
        memory_mib=3400,
    ),
    _card(
        "virchow",
        "Virchow (ViT-H/14)",
        on_hub("paige-ai/Virchow", "pytorch_model.bin", gated=True),
        licence="Apache-2.0, gated",
        citation="Vorontsov et al., Nature Medicine 30 (2024)",
        description="The predecessor of Virchow2, free to use once access is given.",
        terms=_ACCESS,
        mpp=0.5,
        robustness=0.815,
        memory_mib=3400,
    ),
    _card(
        "uni2-h",
        "UNI2-h (ViT-H/14)",
        on_hub("MahmoodLab/UNI2-h", "pytorch_model.bin", gated=True),
        licence=_BY_NC_ND,
        citation="Chen et al., Nature Medicine 30 (2024); MahmoodLab/UNI2-h",
        description="H&E and immunohistochemistry; class token.",
        terms=_NO_COMMERCE,
        mpp=0.5,
        robustness=0.757,
        memory_mib=3600,
    ),
    _card(
        "uni",
        "UNI (ViT-L/16)",
        on_hub("MahmoodLab/UNI", "pytorch_model.bin", gated=True),
        licence=_BY_NC_ND,
        citation="Chen et al., Nature Medicine 30 (2024)",
        description="The predecessor of UNI2-h, half its size.",
        terms=_NO_COMMERCE,
        mpp=0.5,
        robustness=0.598,
        memory_mib=1800,
    ),
    _card(
        "h-optimus-0",
        "H-optimus-0 (ViT-g/14)",
        on_hub("bioptimus/H-optimus-0", "pytorch_model.bin"),
        licence="Apache-2.0",
        citation="Saillard et al., bioptimus/releases (2024)",
        description="The largest free one: 1.1 billion values, wants a GPU; class token.",
        mpp=0.5,
        robustness=0.812,
        memory_mib=5600,
    ),
    _card(
        "phikon-v2",
        "Phikon-v2 (ViT-L/16)",
        on_hub("owkin/phikon-v2", "model.safetensors"),
        licence="Owkin non-commercial",
        citation="Filiot et al., arXiv 2409.09173",
        description="460 million public tiles; class token; no gate, research only.",
        terms=_OWKIN,
        mpp=0.5,
        robustness=0.469,
        memory_mib=1800,
    ),
    _card(
        "dinov2-vit-b",
        "DINOv2 ViT-B/14",
        on_hub("timm/vit_base_patch14_dinov2.lvd142m", "model.safetensors"),
        licence="Apache-2.0",
        citation="Oquab et al., TMLR (2024)",
        description="Photographs, not tissue: small, free, and a fair comparison; at 224 px.",
        memory_mib=700,
    ),
    _card(
        "dinov2-vit-l",
        "DINOv2 ViT-L/14",
        on_hub("timm/vit_large_patch14_dinov2.lvd142m", "model.safetensors"),
        licence="Apache-2.0",
        citation="Oquab et al., TMLR (2024)",
        description="As DINOv2 ViT-B/14, larger.",
        memory_mib=1800,
    ),
)
