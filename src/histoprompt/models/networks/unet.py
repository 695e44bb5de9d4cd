"""The networks of the project's own models: small U-Nets on absorbed light.

Imported only by loaders and training: it needs torch at once. Features come from one of two trunks:
a U-Net on EfficientNet-Lite0 (`efficientnet`), or a smaller one learnt from nothing. Every layer of
that one is normalised by the image it works on, so that slides stained otherwise than the training
data look alike to it. The price is that a pixel's result depends a little on how much of the slide
is seen at once. Sides of images are multiples of 16.

Ronneberger et al., "U-Net", 2015; residual blocks after He et al., 2016.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from histoprompt.models.networks.efficientnet import LiteUNet, group_norm, normalised

WIDTHS = (24, 48, 96, 128)
MAP_CHANNELS = 3  # foreground, distance, boundary
HINT_CHANNELS = 5  # inside, outside, box, proposed nuclei, the answer before
# Offset and slope that make the scores of the four masks comparable, where a file states none: a
# click at times meant a clump in training, so the two larger masks were scored too high.
Trust = tuple[tuple[float, float], ...]
USUAL_TRUST: Trust = ((0.0, 1.0), (0.0, 1.0), (-0.1, 1.0), (-0.1, 1.0))


def absorbed(rgb: Tensor) -> Tensor:
    """Share of the light that is absorbed, ``1 - (I + 1) / 256``, of (n, 3, h, w) uint8, float32.

    Unlike optical density it is bounded: a very dark nucleus looks much like a dark one.
    """
    return 1 - (rgb.float() + 1) / 256


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = normalised(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), group_norm(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class UNet(nn.Module):
    """Features at half resolution, from planes at full resolution.

    Parameters
    ----------
    planes : int
        Channels of the input.
    widths : tuple of int
        Channels at 1/2, 1/4, 1/8 and 1/16 of the input's resolution.
    """

    def __init__(self, planes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths, self.fine = widths, widths[0]
        self.stem = normalised(planes, widths[0], 4, 2)
        first, *deeper = widths
        self.encoder = nn.ModuleList([nn.Sequential(_Residual(first))])
        self.encoder.extend(nn.Sequential(_Residual(w), _Residual(w)) for w in deeper)
        pairs = list(zip(widths, deeper, strict=False))
        self.down = nn.ModuleList(normalised(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in reversed(pairs))
        self.decoder = nn.ModuleList(
            nn.Sequential(normalised(fine, fine), normalised(fine, fine))
            for fine, _ in reversed(pairs)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of (n, planes, h, w).

        Returns
        -------
        fine : (n, widths[0], h / 2, w / 2)
        coarse : (n, widths[-1], h / 16, w / 16)
        """
        levels = []
        x = self.stem(x)
        for block, down in zip(self.encoder, [None, *self.down], strict=True):
            x = block(x if down is None else down(x))
            levels.append(x)
        coarse = levels.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            large = functional.interpolate(
                up(x), scale_factor=2, mode="bilinear", align_corners=False
            )
            x = block(large + levels.pop())
        return x, coarse


def _to_pixels(width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, channels * 4, 1), nn.PixelShuffle(2))


TRUNKS: dict[str, type[UNet] | type[LiteUNet]] = {
    "unet": UNet,
    "efficientnet-lite0": LiteUNet,
}
TRUNK = "efficientnet-lite0"
FIRST = {"unet": "trunk.stem.0.weight", "efficientnet-lite0": "trunk.encoder.stem.0.weight"}


def trunk_of(state: Mapping[str, Tensor]) -> str:
    """Which of `TRUNKS` the state of a network belongs to."""
    return "unet" if any(key.startswith("trunk.down.") for key in state) else TRUNK


class NucleiNet(nn.Module):
    """Foreground, distance to the outline of a nucleus and its boundary, at full resolution.

    `forward` gives (n, 3, h, w) logits: foreground; distance to the outline relative to the
    deepest point of the same nucleus; boundary, the outermost pixels of a nucleus.

    Parameters
    ----------
    trunk : {"efficientnet-lite0", "unet"}
        Which network the features come from.
    """

    def __init__(self, trunk: str = TRUNK) -> None:
        super().__init__()
        self.trunk = TRUNKS[trunk](3)
        self.head = _to_pixels(self.trunk.fine, MAP_CHANNELS)

    def forward(self, light: Tensor) -> Tensor:
        """Maps of (n, 3, h, w) absorbed light."""
        maps: Tensor = self.head(self.trunk(light)[0])
        return maps

    def described(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """Maps as `forward` gives them, and coarse features (n, c, h / 16, w / 16)."""
        fine, coarse = self.trunk(light)
        return self.head(fine), coarse


class PromptNet(nn.Module):
    """One object from absorbed light, the maps of `NucleiNet` and drawn prompts.

    Parameters
    ----------
    trunk : {"efficientnet-lite0", "unet"}
        Which network the features come from.
    hints : int
        Planes of prompts: 5, or 4 for a network that is not shown its answer before.
    again : bool
        Whether it looks at maps and prompts once more at full resolution, beside the features: so
        an outline passes where it was clicked.
    """

    def __init__(
        self, trunk: str = TRUNK, hints: int = HINT_CHANNELS, *, again: bool = True
    ) -> None:
        super().__init__()
        self.hints = hints
        self.trunk = TRUNKS[trunk](3 + MAP_CHANNELS + hints)
        fine = self.trunk.fine
        self.again = normalised(fine + 4 * (MAP_CHANNELS + hints), fine) if again else None
        self.head = _to_pixels(fine, 4)
        self.quality = nn.Linear(self.trunk.widths[-1], 4)

    def forward(self, light: Tensor, maps: Tensor, hints: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of n prompts, each in a window of its own.

        Parameters
        ----------
        light, maps : (n, 3, h, w)
            Of the windows; maps in [0, 1], zeros where there are none.
        hints : (n, 5, h, w)
            As `prompt_maps.hints` draws them; planes that the network does not know are left out.

        Returns
        -------
        (n, 4, h, w) logits, (n, 4) predicted IoU
            First the single mask, then three nested ones for an ambiguous prompt.
        """
        planes = torch.cat([maps, hints[:, : self.hints]], 1)
        fine, coarse = self.trunk(torch.cat([light, planes], 1))
        if self.again is not None:
            whole = functional.pixel_unshuffle(planes, 2)
            fine = fine + self.again(torch.cat([fine, whole], 1))
        logits = self.head(fine)
        nested = logits[:, 1:].cummax(1).values
        return torch.cat([logits[:, :1], nested], 1), self.quality(coarse.mean((2, 3)))


def prompt_net_of(state: Mapping[str, Tensor]) -> PromptNet:
    """An empty network of prompts of the kind that a state belongs to."""
    trunk = trunk_of(state)
    first = state.get(FIRST[trunk])
    planes = 3 + MAP_CHANNELS + HINT_CHANNELS if first is None else first.shape[1]
    again = any(key.startswith("again.") for key in state)
    return PromptNet(trunk, planes - 3 - MAP_CHANNELS, again=again)


def fair(scores: Tensor, trust: Trust = USUAL_TRUST) -> Tensor:
    """Predicted IoU, (n, 4), as what each mask's score was worth on nuclei that were held out.

    As they are, the scores of the larger two nested masks are too high for nuclei: one click in
    four would get a clump.
    """
    lines = scores.new_tensor(trust)
    return scores * lines[:, 1] + lines[:, 0]
