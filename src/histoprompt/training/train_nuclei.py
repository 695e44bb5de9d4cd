"""Train the network that finds all nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoprompt.core.task import Task
from histoprompt.training.augment import Rng
from histoprompt.training.batch import Share, changed_light, drawn
from histoprompt.training.loop import FitConfig, fit
from histoprompt.training.losses import instance_loss
from histoprompt.training.targets import instance_targets

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NucleiConfig(FitConfig):
    """How the network of nuclei is trained."""

    batch: int = 8
    rate: float = 2e-3
    decay: float = 0.02


def batch_of(shares: Sequence[Share], size: int, rng: Rng) -> tuple[torch.Tensor, ...]:
    """Light absorbed (n, 3, h, w), targets (n, 3, h, w), known pixels (n, h, w) of some samples."""
    import torch

    items = [drawn(shares, rng) for _ in range(size)]
    light = torch.stack([changed_light(i.sample.image, rng) for i in items])
    target = np.stack([instance_targets(i.sample.labels, i.depth / 255) for i in items])
    known = np.stack([i.sample.known for i in items])
    return light, torch.from_numpy(target), torch.from_numpy(known).float()


def train_nuclei(
    shares: Sequence[Share],
    net: Any,
    config: NucleiConfig,
    curve: Path,
    task: Task,
) -> dict[str, Any]:
    """Train a `NucleiNet` in place; its averaged state is returned.

    Parameters
    ----------
    shares : sequence of Share
        What is learnt from.
    curve : Path
        CSV of step and loss.
    """
    import torch

    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    device = next(net.parameters()).device
    net.train().to(memory_format=torch.channels_last)

    def one_step() -> float:
        light, target, known = (x.to(device) for x in batch_of(shares, config.batch, rng))
        loss = instance_loss(net(light), target, known)
        loss.backward()
        return float(loss.detach())

    return fit(net, one_step, config, curve=curve, task=task, text="training the network of nuclei")
