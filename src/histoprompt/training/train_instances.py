"""Train the instance decoder on kept embeddings."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.metrics import Agreement, agreement
from histoprompt.core.task import Task
from histoprompt.models.instances import DecodeParams, decode, doubled
from histoprompt.training.augment import Rng
from histoprompt.training.data import batches
from histoprompt.training.encode import Encoded
from histoprompt.training.losses import instance_loss
from histoprompt.training.targets import half

if TYPE_CHECKING:
    import torch

    from histoprompt.models.zoo.heads import InstanceHead

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InstanceConfig:
    """How the instance decoder is trained."""

    steps: int = 1500
    batch: int = 8
    rate: float = 2e-3
    decay: float = 0.02
    average: float = 0.995
    report_every: int = 100
    seed: int = 0


def collate(
    items: Sequence[Encoded], rng: Rng | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings, pixel planes, targets and known pixels of a batch.

    With a generator the embedding and all else are flipped together (nearly what the encoder
    would make of the flipped image) and the colours the head sees are changed a little.
    """
    import torch

    from histoprompt.models.zoo.heads import pixel_planes

    rgb = torch.from_numpy(np.stack([i.sample.image for i in items])).permute(0, 3, 1, 2)
    planes = pixel_planes(rgb)
    embedding = torch.from_numpy(np.stack([i.embedding for i in items])).float()
    target = torch.from_numpy(np.stack([i.targets for i in items]).astype(np.float32))
    known = torch.from_numpy(np.stack([half(i.sample.known) for i in items])).float()
    if rng is None:
        return embedding, planes, target, known
    gain = torch.from_numpy(rng.normal(1, 0.1, (len(items), planes.shape[1], 1, 1))).float()
    shift = torch.from_numpy(rng.normal(0, 0.05, gain.shape)).float()
    out = [embedding, planes * gain + shift, target, known]
    axes = [a for a in (-1, -2) if rng.random() < 0.5]
    flipped = [x.flip(axes).contiguous() for x in out]
    return flipped[0], flipped[1], flipped[2], flipped[3]


class Averaged:
    """The running mean of a network's values, steadier than their last state."""

    def __init__(self, net: Any, keep: float) -> None:
        self.keep, self.state = keep, {k: v.clone() for k, v in net.state_dict().items()}
        self.steps = 0

    def update(self, net: Any) -> None:
        """Move a little towards the network."""
        self.steps += 1
        keep = min(self.keep, self.steps / (self.steps + 10))
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - keep)


def schedule(step: int, steps: int, warm: int = 50) -> float:
    """Share of the full rate: a short rise, then half a cosine to 2 %."""
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return float(0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(1.0, done))))


def train_instances(
    items: Sequence[Encoded],
    config: InstanceConfig,
    curve: Path,
    *,
    task: Task | None = None,
    start: dict[str, Any] | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train from encoded samples.

    Parameters
    ----------
    items : sequence of Encoded
        In memory, about 2.3 MB each.
    config : InstanceConfig
    curve : Path
        CSV of step and loss, written as training goes.
    start : state dict, optional
        Values to start from.

    Returns
    -------
    dict
        The averaged state of the `InstanceHead`.
    """
    import torch

    from histoprompt.models.zoo.heads import InstanceHead

    task = task or Task()
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    net = InstanceHead().to(device)
    if start is not None:
        net.load_state_dict(start)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=config.decay)
    average, losses, step = Averaged(net, config.average), [], 0
    with curve.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "loss"])
        while step < config.steps:
            for chosen in batches(len(items), min(config.batch, len(items)), rng):
                if step >= config.steps:
                    break
                batch = collate([items[i] for i in chosen], rng)
                for group in optimiser.param_groups:
                    group["lr"] = config.rate * schedule(step, config.steps)
                losses.append(_step(net, optimiser, batch))
                average.update(net)
                step += 1
                if step % config.report_every == 0 or step == config.steps:
                    mean = float(np.mean(losses[-config.report_every :]))
                    table.writerow([step, f"{mean:.4f}"])
                    file.flush()
                    log.info("instances: step %d of %d, loss %.4f", step, config.steps, mean)
                task.step(step, config.steps, "training the instance decoder")
    return {k: v.cpu() for k, v in average.state.items()}


def _step(net: InstanceHead, optimiser: Any, batch: tuple[torch.Tensor, ...]) -> float:
    import torch

    net.train()
    embedding, planes, target, known = (x.to(_device(net)) for x in batch)
    with torch.autocast(embedding.device.type, dtype=torch.bfloat16):
        logits = net(embedding, planes)
    loss = instance_loss(logits.float(), target, known)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _device(net: Any) -> torch.device:
    return next(iter(net.parameters())).device


def predict_maps(net: InstanceHead, item: Encoded) -> NDArray[np.float32]:
    """Probabilities of foreground, depth and rim, (3, 128, 128)."""
    import torch

    net.eval()
    embedding, planes, _, _ = collate([item])
    with torch.inference_mode():
        maps = net(embedding.to(_device(net)), planes.to(_device(net)))
        return np.asarray(maps[0].sigmoid().cpu().numpy())


def known_only(labels: NDArray[np.int32], known: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Labels less the objects of which over half lies where nothing is known."""
    count = int(labels.max()) + 1
    area = np.bincount(labels.ravel(), minlength=count)
    seen = np.bincount(labels[known].ravel(), minlength=count)
    keep = seen * 2 > area
    keep[0] = False
    return np.where(keep[labels] & known, labels, 0).astype(np.int32)


def evaluate(net: InstanceHead, items: Sequence[Encoded], params: DecodeParams) -> Agreement:
    """Agreement of decoded instances with the labels of samples."""
    found = [
        known_only(doubled(decode(predict_maps(net, i), params)), i.sample.known) for i in items
    ]
    return agreement([known_only(i.sample.labels, i.sample.known) for i in items], found)
