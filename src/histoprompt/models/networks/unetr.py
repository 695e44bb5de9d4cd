"""The instance decoder of micro-sam and PathoSAM on SAM's image embedding.

Imported only by loaders: it needs torch at once. Layers have the names of torch_em's ``UNETR``
without skip connections (constantinpape/torch-em, ``model/unetr.py``), which are those in the
published files. The two ways of enlarging there are told apart by the names in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = (512, 256, 128, 64)
MAPS = 3  # foreground, distance to the centre, distance to the boundary


class Resampled(nn.Module):
    """Twice the size by interpolation and a 1 x 1 convolution."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, d, 2h, 2w)."""
        big = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.conv(big)
        return out


class Transposed(nn.Module):
    """Twice the size by a transposed convolution."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.block = nn.ConvTranspose2d(n_in, n_out, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, d, 2h, 2w)."""
        out: Tensor = self.block(x)
        return out


Enlarge = type[Resampled] | type[Transposed]


class _Wrapped(nn.Module):
    """Layers under the name ``block``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.block: nn.Module = layers[0] if len(layers) == 1 else nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out


def _twice(n_in: int, n_out: int) -> _Wrapped:
    """Two convolutions, each after the normalisation of every channel over the image."""
    return _Wrapped(
        nn.InstanceNorm2d(n_in),
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.ReLU(),
        nn.InstanceNorm2d(n_out),
        nn.Conv2d(n_out, n_out, 3, padding=1),
        nn.ReLU(),
    )


def _enlarged(n_in: int, n_out: int, enlarge: Enlarge) -> _Wrapped:
    convolution = _Wrapped(nn.Conv2d(n_out, n_out, 3, padding=1))
    return _Wrapped(enlarge(n_in, n_out), convolution, nn.BatchNorm2d(n_out), nn.ReLU())


class _Stairs(nn.Module):
    """Three steps up, each taking in what another path made at that size."""

    def __init__(self, features: tuple[int, ...], enlarge: Enlarge) -> None:
        super().__init__()
        steps = list(pairwise(features))
        self.blocks = nn.ModuleList([_twice(a, b) for a, b in steps])
        self.samplers = nn.ModuleList([enlarge(a, b) for a, b in steps])

    def forward(self, x: Tensor, beside: Iterable[Tensor]) -> Tensor:
        for sampler, block, other in zip(self.samplers, self.blocks, beside, strict=True):
            x = sampler(x)
            x = block(torch.cat([x, _middle(other, x.shape[1])], 1))
        return x


def _middle(x: Tensor, channels: int) -> Tensor:
    """The middle channels: what torch_em's cropping to a common shape leaves of twice as many."""
    first = (x.shape[1] - channels) // 2
    return x[:, first : first + channels]


class InstanceDecoder(nn.Module):
    """(n, 256, h, w) embedding to (n, 3, 16h, 16w) in [0, 1]: see `MAPS`."""

    def __init__(
        self, enlarge: Enlarge = Resampled, width: int = 256, features: tuple[int, ...] = FEATURES
    ) -> None:
        super().__init__()
        first, second, third, last = features
        self.deconv1 = _enlarged(width, first, enlarge)
        self.deconv2 = _enlarged(first, second, enlarge)
        self.deconv3 = _enlarged(second, third, enlarge)
        self.deconv4 = _enlarged(third, last, enlarge)
        self.base = _twice(width, first)
        self.decoder = _Stairs(features, enlarge)
        self.deconv_out = enlarge(last, last)
        self.decoder_head = _twice(2 * last, last)
        self.out_conv = nn.Conv2d(last, MAPS, 1)

    def forward(self, embedding: Tensor) -> Tensor:
        """See the class."""
        at2 = self.deconv1(embedding)
        at4 = self.deconv2(at2)
        at8 = self.deconv3(at4)
        at16 = self.deconv4(at8)
        x = self.deconv_out(self.decoder(self.base(embedding), [at2, at4, at8]))
        logits: Tensor = self.out_conv(self.decoder_head(torch.cat([x, at16], 1)))
        return logits.sigmoid()
