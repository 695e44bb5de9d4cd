"""EfficientNet-Lite0 as far as its features at 1/16 of the resolution, and a U-Net on top of it.

Imported only by loaders and training: it needs torch at once. The encoder begins with weights
learnt on ImageNet; the statistics of its batch normalisation stay as they were there. The decoder
is normalised by the image it works on. Sides of images are multiples of 16.

Tan & Le, "EfficientNet", 2019; the Lite variants have no squeeze-and-excitation and ReLU6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3  # of the batch normalisation, as in the original
STEM = 32
DECODER = (48, 32, 24)  # channels at 1/8, 1/4 and 1/2


@dataclass(frozen=True, slots=True)
class _Stage:
    """Blocks of one resolution.

    Attributes
    ----------
    expand, size, stride, width, blocks : int
        Factor of the inner channels, kernel, stride of the first block, channels, how many.
    """

    expand: int
    size: int
    stride: int
    width: int
    blocks: int


STAGES = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
)
LEVELS = (0, 1, 2, 4)  # stages whose results are handed on: 1/2, 1/4, 1/8 and 1/16
WIDTHS = tuple(STAGES[k].width for k in LEVELS)


class _Convolution(nn.Sequential):
    """Convolution and batch normalisation; padded like TensorFlow, which the weights come from.

    Both are one convolution, as the statistics never change.
    """

    def __init__(self, n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1) -> None:
        before = (size - stride) // 2
        after = size - stride - before
        even = before if before == after else 0
        conv = nn.Conv2d(n_in, n_out, size, stride, even, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(n_out, EPSILON))
        self.uneven = (before, after, before, after) if before != after else None
        self.each = groups > 1

    def forward(self, x: Tensor) -> Tensor:
        """Gradients of a channel by itself are six times slower in bfloat16 on a CPU."""
        if self.uneven:
            x = functional.pad(x, self.uneven)
        if self.each and torch.is_grad_enabled() and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return self._both(x.float())
        return self._both(x)

    def _both(self, x: Tensor) -> Tensor:
        conv: Any = self[0]
        norm: Any = self[1]
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight = conv.weight * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
        out: Tensor = functional.conv2d(
            x, weight, bias, conv.stride, conv.padding, groups=conv.groups
        )
        return out


class _Block(nn.Module):
    """An inverted residual: expand, convolve each channel by itself, project."""

    def __init__(self, n_in: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        inner = n_in * stage.expand
        self.expand = _Convolution(n_in, inner, 1) if stage.expand > 1 else None
        self.each = _Convolution(inner, inner, stage.size, stride, groups=inner)
        self.project = _Convolution(inner, stage.width, 1)
        self.skips = stride == 1 and n_in == stage.width

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else functional.relu6(self.expand(x))
        out: Tensor = self.project(functional.relu6(self.each(inner)))
        return x + out if self.skips else out


class Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16, of light or more planes than its three."""

    def __init__(self, planes: int = 3) -> None:
        super().__init__()
        self.stem = _Convolution(planes, STEM, 3, 2)
        self.stages = nn.ModuleList()
        width = STEM
        for stage in STAGES:
            blocks = []
            for k in range(stage.blocks):
                blocks.append(_Block(width, stage, stage.stride if k == 0 else 1))
                width = stage.width
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (n, planes, h, w), the finest first."""
        levels = []
        x = functional.relu6(self.stem(x))
        for k, stage in enumerate(self.stages):
            x = stage(x)
            if k in LEVELS:
                levels.append(x)
        return levels


def group_norm(width: int) -> nn.GroupNorm:
    """Normalisation by the image itself: what is stained differently looks alike afterwards."""
    return nn.GroupNorm(width // 8, width)


def normalised(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution, normalised by the image itself."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, padding=(size - stride + 1) // 2, bias=False),
        group_norm(n_out),
        nn.ReLU(inplace=True),
    )


class LiteUNet(nn.Module):
    """Features at half resolution, from planes at full resolution.

    Parameters
    ----------
    planes : int
        Channels of the input; the first three are light absorbed.
    """

    widths = WIDTHS
    fine = DECODER[-1]

    def __init__(self, planes: int = 3) -> None:
        super().__init__()
        self.encoder = Encoder(planes)
        below = [WIDTHS[-1], *DECODER[:-1]]
        beside = WIDTHS[-2::-1]
        self.decoder = nn.ModuleList(
            nn.Sequential(normalised(low + skip, width), normalised(width, width))
            for low, skip, width in zip(below, beside, DECODER, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of (n, planes, h, w).

        Returns
        -------
        fine : (n, 24, h / 2, w / 2)
        coarse : (n, 112, h / 16, w / 16)
        """
        # The original saw light let through, from -1 to 1.
        levels = self.encoder(torch.cat([1 - 2 * x[:, :3], x[:, 3:]], 1))
        x = coarse = levels.pop()
        for block in self.decoder:
            large = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([large, levels.pop()], 1))
        return x, coarse
