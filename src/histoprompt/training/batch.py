"""Samples turned, their dyes changed a little, and stacked for a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training.augment import Rgb, to_od
from histoprompt.training.data import Sample, dihedral
from histoprompt.training.pool import Pooled

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Share:
    """Samples on disk, and how often they are drawn beside other shares."""

    paths: Sequence[Path]
    weight: float = 1.0


def drawn(shares: Sequence[Share], rng: Rng) -> Pooled:
    """A random sample, turned and flipped at random."""
    weights = np.array([s.weight * bool(s.paths) for s in shares])
    paths = shares[rng.choice(len(shares), p=weights / weights.sum())].paths
    return turned(Pooled.load(paths[int(rng.integers(len(paths)))]), rng)


def turned(pooled: Pooled, rng: Rng) -> Pooled:
    """The sample turned and flipped at random."""
    s = pooled.sample
    parted = s.known if s.parted is None else s.parted
    arrays: list[Any] = dihedral(rng, s.image, s.labels, s.known, parted, pooled.distance)
    image, labels, known, apart, distance = arrays
    return Pooled(Sample(image, labels, known, s.source, apart), distance)


def changed_light(image: Rgb, rng: Rng) -> torch.Tensor:
    """Light (3, h, w) that an (h, w, 3) image absorbs, its dyes, lamp and contrast changed.

    In optical density: channels are mixed (sd 0.07) and scaled (8 %), all is made stronger or
    weaker (30 %), and in more than half of the cases what is dark is made darker still.
    """
    import torch

    mixing = (np.eye(3) + rng.normal(0, 0.07, (3, 3))) * rng.normal(1, 0.08, (3, 1))
    gain = (mixing.T * np.exp(rng.normal(0, 0.3))).astype(np.float32)
    density = np.maximum(to_od(image) @ gain, 0)
    contrast = np.float32(rng.uniform(-0.1, 0.9) if rng.random() < 0.6 else 0.0)
    density = density * (1 + contrast * density) + rng.normal(0, 0.03, 3).astype(np.float32)
    light = 1 - np.exp(-density.clip(0, 5))
    return torch.from_numpy(light.transpose(2, 0, 1).copy())
