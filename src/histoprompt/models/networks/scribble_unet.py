"""ScribblePrompt's UNet (Wong et al., ECCV 2024), from its published description.

Imported only by loaders: it needs torch at once. Names of layers are those of the published file.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Grey image, box, positive and negative clicks and scribbles, logits of the last answer.
CHANNELS = 5
FEATURES = (192, 192, 192, 192)


class _Step(nn.Module):
    """A convolution and, but for the last one, a leaky unit with a learnt slope."""

    def __init__(self, n_in: int, n_out: int, size: int = 3, *, active: bool = True) -> None:
        super().__init__()
        convolution = nn.Conv2d(n_in, n_out, size, padding=size // 2)
        self.conv = nn.Sequential(convolution, *([nn.PReLU()] if active else []))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class ScribbleUNet(nn.Module):
    """(n, 5, h, w) to logits (n, 1, h, w); sides must divide by 2 as often as there are steps."""

    def __init__(self, features: Sequence[int] = FEATURES) -> None:
        super().__init__()
        into = [CHANNELS, *features[:-1]]
        self.downs = nn.ModuleList(_Step(a, b) for a, b in zip(into, features, strict=True))
        self.bottleneck = _Step(features[-1], features[-1])
        self.ups = nn.ModuleList()
        for width in reversed(features):
            self.ups.append(nn.UpsamplingBilinear2d(scale_factor=2))
            self.ups.append(_Step(2 * width, width))
        self.pool = nn.MaxPool2d(2)
        self.final_conv = _Step(features[0], 1, 1, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        skipped: list[Tensor] = []
        for down in self.downs:
            skipped.append(down(x))
            x = self.pool(skipped[-1])
        x = self.bottleneck(x)
        for enlarge, step in zip(self.ups[::2], self.ups[1::2], strict=True):
            x = step(torch.cat([skipped.pop(), enlarge(x)], 1))
        logits: Tensor = self.final_conv(x)
        return logits
