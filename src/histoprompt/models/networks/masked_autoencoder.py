"""A masked autoencoder of small tiles: parts are hidden, all of the tile is made from the rest.

After "Masked autoencoders are scalable vision learners" (K. He et al., CVPR 2022), as a small
convolutional network, so that minutes on a processor are enough. Each tile is rebuilt with four
masks that hide every part once, and only hidden parts are taken: what a network sees it copies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SIDE, PATCH = 64, 8
_MASKS = 4
_WIDTH = 24
_RATE, _BATCH = 2e-3, 32


class _Step(nn.Module):
    """Two convolutions with a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(functional.gelu(self.first(self.norm(x))))
        return out


class MaskedAutoencoder(nn.Module):
    """Rebuilds (n, 3, 64, 64) tiles, of which a fourth channel says what is hidden."""

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        self.into = nn.Conv2d(4, width, 4, stride=2, padding=1)
        self.fine = _Step(width)
        self.down = nn.Conv2d(width, 2 * width, 4, stride=4)
        self.coarse = _Step(2 * width)
        self.deep = nn.Conv2d(2 * width, 4 * width, 4, stride=4)
        self.middle = _Step(4 * width)
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=4)
        self.mix = _Step(2 * width)
        self.out = nn.ConvTranspose2d(2 * width, width, 4, stride=4)
        self.last = nn.ConvTranspose2d(2 * width, 3, 4, stride=2, padding=1)

    def forward(self, tiles: Tensor, hidden: Tensor) -> Tensor:
        """(n, 3, 64, 64) from tiles in [-1, 1] and (n, 1, 64, 64) with 1 where hidden."""
        x = functional.gelu(self.into(torch.cat([tiles * (1 - hidden), hidden], dim=1)))
        fine = self.fine(x)
        coarse = self.coarse(self.down(fine))
        deep = self.middle(self.deep(coarse))
        coarse = self.mix(coarse + self.up(deep))
        made: Tensor = self.last(torch.cat([self.out(coarse), fine], dim=1))
        return made


def train(
    tiles: NDArray[np.uint8],
    steps: int,
    device: str = "cpu",
    tell: Callable[[int], None] = lambda _: None,
    seed: int = 0,
) -> MaskedAutoencoder:
    """Learn to rebuild (n, 64, 64, 3) uint8 tiles.

    Parameters
    ----------
    tiles : (n, 64, 64, 3) uint8
    steps : int
        Of 32 tiles each, turned and mirrored.
    device : str
    tell : callable
        Given the number of each step; what it raises ends the training.
    seed : int
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = MaskedAutoencoder().to(device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=max(steps, 2))
    net.train()
    for number in range(steps):
        tell(number)
        batch = _turned(tiles[rng.integers(0, len(tiles), _BATCH)], rng)
        hidden = _hidden(rng, len(batch)).to(device)
        given = _as_tensor(batch, device)
        lost = (net(given, hidden) - given).square() * hidden
        loss = lost.sum() / hidden.sum().clamp(min=1) / 3
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.inference_mode()
def rebuild(
    net: MaskedAutoencoder, tiles: NDArray[np.uint8], device: str = "cpu"
) -> NDArray[np.uint8]:
    """Tiles (n, 64, 64, 3) uint8 as the network makes each part from the parts around it."""
    parts = torch.from_numpy(_quarters()).to(device)
    out = []
    for start in range(0, len(tiles), _BATCH):
        given = _as_tensor(tiles[start : start + _BATCH], device)
        made = torch.zeros_like(given)
        for hidden in parts:
            mask = hidden.expand(len(given), 1, SIDE, SIDE)
            made += net(given, mask) * mask
        pixels = ((made.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1)
        out.append(pixels.cpu().numpy().astype(np.uint8))
    return np.concatenate(out) if out else np.zeros((0, SIDE, SIDE, 3), np.uint8)


def _as_tensor(tiles: NDArray[np.uint8], device: str) -> Tensor:
    given = torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2).to(device)
    return given.float() / 127.5 - 1


def _turned(tiles: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    turned = np.rot90(tiles, int(rng.integers(4)), axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if rng.integers(2) else turned)


def _hidden(rng: np.random.Generator, count: int) -> Tensor:
    """A quarter to three quarters of the patches of each tile."""
    n = SIDE // PATCH
    share = rng.uniform(0.25, 0.75, (count, 1, 1))
    mask = (rng.random((count, n, n)) < share).astype(np.float32)
    whole = mask.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
    return torch.from_numpy(whole[:, None])


def _quarters() -> NDArray[np.float32]:
    """Four masks (4, 1, 1, 64, 64) of single patches that together hide all of a tile."""
    n = SIDE // PATCH
    row, col = np.indices((n, n))
    kind = 2 * (row % 2) + col % 2
    masks = np.stack([(kind == k) for k in range(_MASKS)]).astype(np.float32)
    return masks.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[:, None, None]
