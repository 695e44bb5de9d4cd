"""Train the network that finds all nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training.batch import Share, changed_light, drawn
from histoprompt.training.data import Sample
from histoprompt.training.loop import FitConfig, Stage, fit
from histoprompt.training.losses import instance_loss
from histoprompt.training.targets import instance_targets

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NucleiConfig(FitConfig):
    """How the network of nuclei is trained.

    Attributes
    ----------
    batch : int
        Fields of a step.
    """

    batch: int = 8
    rate: float = 2e-3
    decay: float = 0.02
    encoder: float = 0.2


def batch_of(shares: Sequence[Share], size: int, rng: Rng) -> tuple[torch.Tensor, ...]:
    """Light absorbed, targets, and where these are known, each (n, 3, h, w), of some samples."""
    import torch

    items = [drawn(shares, rng) for _ in range(size)]
    light = torch.stack([changed_light(i.sample.image, rng) for i in items])
    target = np.stack([instance_targets(i.sample.labels, i.distance / 255) for i in items])
    known = np.stack([_known(i.sample) for i in items])
    return light, torch.from_numpy(target), torch.from_numpy(known).float()


def _known(sample: Sample) -> NDArray[np.bool_]:
    """Where foreground, distance and boundary of a sample are known, (3, h, w)."""
    parted = sample.known if sample.parted is None else sample.known & sample.parted
    return np.stack([sample.known, parted, parted])


def train_nuclei(
    shares: Sequence[Share],
    net: Any,
    config: NucleiConfig,
    stage: Stage,
) -> dict[str, Any]:
    """Train a `NucleiNet` in place; its averaged state is returned.

    Parameters
    ----------
    shares : sequence of Share
        What is learnt from.
    stage : Stage
        Where curve and state are kept.
    """
    import torch

    device = next(net.parameters()).device
    net.train().to(memory_format=torch.channels_last)

    def one_step(_: int, rng: Rng) -> float:
        light, target, known = (x.to(device) for x in batch_of(shares, config.batch, rng))
        light = light.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.half):
            logits = net(light)
        loss = instance_loss(logits.float(), target, known)
        loss.backward()
        return float(loss.detach())

    return fit(net, one_step, config, stage, "training the network of nuclei")
