"""What training both networks shares: rate, running mean, loss curve, cancelling."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoprompt.core.task import Task

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitConfig:
    """What training any network depends on.

    Attributes
    ----------
    steps : int
    rate : float
        Greatest rate.
    decay : float
        Of weights.
    average : float
        Share kept by the running mean.
    report_every : int
        Steps.
    seed : int
    """

    steps: int = 1500
    rate: float = 1e-3
    decay: float = 0.01
    average: float = 0.995
    report_every: int = 50
    seed: int = 0


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


def blended(start: State, trained: State, keep: float) -> dict[str, torch.Tensor]:
    """The mean of two states of a network of which the second was trained on from the first.

    It does better than either on tissue unlike what it was trained on (M. Wortsman et al., "Robust
    fine-tuning of zero-shot models", 2022).

    Parameters
    ----------
    start, trained : dict of tensor
    keep : float
        Weight of `start`, 0 to 1.
    """
    return {
        k: start[k].to(v).lerp(v, 1 - keep) if v.is_floating_point() else v
        for k, v in trained.items()
    }


def schedule(step: int, steps: int, warm: int = 50) -> float:
    """Share of the full rate: a short rise, then half a cosine to 2 %."""
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return float(0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(1.0, done))))


def fit(
    net: Any,
    one_step: Callable[[], float],
    config: FitConfig,
    *,
    curve: Path,
    task: Task,
    text: str,
) -> dict[str, Any]:
    """Train a network with AdamW.

    Parameters
    ----------
    net : torch module
        Trained in place.
    one_step : callable
        Works out the gradients of one batch and gives its loss.
    config : FitConfig
    curve : Path
        CSV of step and loss, written as training goes.
    task : Task
        Told of every step as `text`.

    Returns
    -------
    dict
        The averaged state, on the CPU.
    """
    import torch

    optimiser = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=config.decay)
    mean, losses = Averaged(net, config.average), []
    with curve.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "loss"])
        for step in range(1, config.steps + 1):
            task.step(step - 1, config.steps, text)
            for group in optimiser.param_groups:
                group["lr"] = config.rate * schedule(step - 1, config.steps)
            optimiser.zero_grad(set_to_none=True)
            losses.append(one_step())
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            mean.update(net)
            if step % config.report_every == 0 or step == config.steps:
                latest = float(np.mean(losses[-config.report_every :]))
                table.writerow([step, f"{latest:.4f}"])
                file.flush()
                log.info("%s: step %d of %d, loss %.4f", text, step, config.steps, latest)
    task.step(config.steps, config.steps, text)
    return {k: v.cpu() for k, v in mean.state.items()}
