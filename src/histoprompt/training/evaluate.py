"""How well nuclei that were found agree with those of held-out samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.metrics import Agreement, agreement
from histoprompt.models.cells.instances import DecodeParams, decode
from histoprompt.training.augment import Rgb
from histoprompt.training.data import Known, Labels, Sample


def known_only(labels: Labels, known: Known) -> Labels:
    """Labels less the objects of which over half lies where nothing is known."""
    count = int(labels.max()) + 1
    area = np.bincount(labels.ravel(), minlength=count)
    seen = np.bincount(labels[known].ravel(), minlength=count)
    keep = seen * 2 > area
    keep[0] = False
    return np.where(keep[labels] & known, labels, 0).astype(np.int32)


def compared(samples: Sequence[Sample], find: Callable[[Rgb], Labels]) -> Agreement:
    """Agreement of what a segmenter finds in the images of samples with their labels."""
    found = [known_only(find(s.image), s.known) for s in samples]
    return agreement([known_only(s.labels, s.known) for s in samples], found)


@dataclass(frozen=True)
class Outcome:
    """How well a network does on held-out samples, and how well it did before it was trained on.

    Attributes
    ----------
    samples : int
        How many were held out.
    after : Agreement
    before : Agreement or None
        None for a network that was trained from scratch.
    """

    samples: int
    after: Agreement
    before: Agreement | None = None

    def __str__(self) -> str:
        told = f"on {self.samples} images that were held out: {self.after}"
        return told if self.before is None else f"{told} (before: {self.before})"


def predict_maps(net: Any, image: Rgb, *, turns: int = 1) -> NDArray[np.float32]:
    """Probabilities of foreground, depth and rim, (3, h, w), of a square image.

    Parameters
    ----------
    net : NucleiNet
    turns : int
        How many of the eight turned and flipped views are averaged.
    """
    import torch

    from histoprompt.models.networks.unet import absorbed

    net.eval()
    device = next(net.parameters()).device
    planes = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    light = absorbed(planes.to(device))
    total = torch.zeros(3, *image.shape[:2])
    with torch.inference_mode():
        for view in range(turns):
            seen = _view(light, view, back=False)
            total += _view(net(seen).sigmoid(), view, back=True)[0].cpu()
    return np.asarray((total / turns).numpy())


def _view(planes: Any, view: int, *, back: bool) -> Any:
    import torch

    quarter, flip = view % 4, view >= 4
    if back:
        flat = planes.flip(2) if flip else planes
        return torch.rot90(flat, -quarter, (2, 3))
    moved = torch.rot90(planes, quarter, (2, 3))
    return moved.flip(2) if flip else moved


def choose_decoding(
    net: Any, held: Sequence[Sample], choices: Sequence[DecodeParams]
) -> tuple[DecodeParams, Agreement]:
    """The settings with the best F1 + AJI less the count bias on held-out samples."""
    maps = {id(s.image): predict_maps(net, s.image) for s in held}
    best: tuple[float, DecodeParams, Agreement] | None = None
    for params in choices:
        result = compared(held, lambda image, p=params: decode(maps[id(image)], p))  # type: ignore[misc]
        value = result.f1 + result.aji - abs(result.bias)
        if best is None or value > best[0]:
            best = (value, params, result)
    assert best is not None  # there is a choice
    return best[1], best[2]
