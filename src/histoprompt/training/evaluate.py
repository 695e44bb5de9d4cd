"""How well nuclei that were found agree with those of held-out samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
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


@dataclass(frozen=True, eq=False)
class Held:
    """Samples of one set that were held out.

    Attributes
    ----------
    name : str
    samples : sequence of Sample
    silver : bool
        Whether touching nuclei were parted by no person, so that counts are no more than a guide.
    """

    name: str
    samples: Sequence[Sample]
    silver: bool = False


@dataclass(frozen=True)
class Outcome:
    """How well a network does on held-out samples, and how well it did before it was trained on.

    Attributes
    ----------
    held : tuple of Held
    after : tuple of Agreement
        One a set.
    before : tuple of Agreement or None
        None for a network that was trained from scratch.
    """

    held: tuple[Held, ...]
    after: tuple[Agreement, ...]
    before: tuple[Agreement, ...] | None = None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def figures(self) -> dict[str, dict[str, Any]]:
        """Agreement after training and before, by set."""
        before = self.before or [None] * len(self.held)
        return {
            one.name: {"after": asdict(new), "before": asdict(old) if old else None}
            for one, new, old in zip(self.held, self.after, before, strict=True)
        }

    def _lines(self) -> Iterator[str]:
        before = self.before or [None] * len(self.held)
        for one, new, old in zip(self.held, self.after, before, strict=True):
            told = f"on {len(one.samples):,} images of {one.name} that were held out: {new}"
            yield told if old is None else f"{told} (before: {old})"


def predict_maps(net: Any, image: Rgb, *, turns: int = 1) -> NDArray[np.float32]:
    """Probabilities of foreground, distance and boundary, (3, h, w), of a square image.

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


AXES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("foreground", (0.4, 0.45, 0.5, 0.55, 0.6)),
    ("certainty", (0.5, 0.55, 0.6, 0.65, 0.7)),
    ("prominence", (0.03, 0.05, 0.08, 0.12)),
    ("smooth", (1.5, 2.0, 2.5, 3.0)),
    ("seed", (0.15, 0.2, 0.3, 0.4)),
    ("boundary", (0.25, 0.5, 0.75)),
    ("contact", (1.0, 2.0, 4.0)),
    ("area", (20, 40, 60)),
)


def choose_decoding(
    maps: Sequence[Sequence[NDArray[np.float32]]],
    held: Sequence[Held],
    begin: DecodeParams,
    axes: Sequence[tuple[str, tuple[Any, ...]]] = AXES,
) -> DecodeParams:
    """The settings with the best mean over sets of F1 + AJI less the count bias.

    One setting after the other is changed as long as that helps, in two rounds. A set weighs as
    the root of how many nuclei it has; without human instances half of that, its bias a quarter.

    Parameters
    ----------
    maps : sequence of sequence of (3, h, w) float32
        What a network sees in each sample of each set.
    held : sequence of Held
    begin : DecodeParams
    axes : sequence of (str, values)
        What is tried.
    """
    worth: dict[DecodeParams, float] = {}
    weights = [
        np.sqrt(1 + sum(int(s.labels.max()) for s in h.samples)) * (0.5 if h.silver else 1.0)
        for h in held
    ]

    def value(params: DecodeParams) -> float:
        if params not in worth:
            pairs = zip(held, decoded(maps, held, params), strict=True)
            values = [_value(result, one) for one, result in pairs]
            worth[params] = float(np.average(values, weights=weights))
        return worth[params]

    best = begin
    for name, values in [*axes, *axes]:
        tried = [best, *(replace(best, **{name: v}) for v in values)]
        best = max(tried, key=value)
    return best


def decoded(
    maps: Sequence[Sequence[NDArray[np.float32]]], held: Sequence[Held], params: DecodeParams
) -> list[Agreement]:
    """How well the maps of each set, made objects by these settings, agree with its labels."""
    results = []
    for seen, one in zip(maps, held, strict=True):
        found = {id(s.image): decode(m, params) for s, m in zip(one.samples, seen, strict=True)}
        results.append(compared(one.samples, lambda image, f=found: f[id(image)]))  # type: ignore[misc]
    return results


def _value(result: Agreement, held: Held) -> float:
    return result.f1 + result.aji - abs(result.bias) * (0.5 if held.silver else 1.0)
