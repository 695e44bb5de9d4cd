"""What training both networks shares: rate, running mean, loss curve, breaking off, going on."""

from __future__ import annotations

import csv
import json
import logging
import pickle
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoprompt.core.errors import WeightsError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.task import Task
from histoprompt.pipelines.evaluate.simulate import Rng

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
    keep_every : float
        Seconds after which the state of the training is kept on disk.
    encoder : float
        Rate of a pretrained encoder over that of the rest.
    half : bool
        Whether to multiply in bfloat16; faster where the processor can.
    seed : int
    """

    steps: int = 1500
    rate: float = 1e-3
    decay: float = 0.01
    average: float = 0.995
    report_every: int = 50
    keep_every: float = 180.0
    encoder: float = 1.0
    half: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Stage:
    """One part of a training, and what it leaves on disk.

    Attributes
    ----------
    folder : Path
    name : str
        Of the files.
    task : Task
        Told of every step; cancels.
    resume : bool
        Whether to go on from what was kept.
    """

    folder: Path
    name: str
    task: Task
    resume: bool = False

    @property
    def curve(self) -> Path:
        """CSV of step and loss, written as training goes."""
        return self.folder / f"{self.name}.csv"

    @property
    def kept(self) -> Path:
        """State of the training, written every few minutes."""
        return self.folder / f"{self.name}.ckpt"

    def named(self, name: str) -> Stage:
        """Another part of the same training."""
        return replace(self, name=name)


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
    one_step: Callable[[int, Rng], float],
    config: FitConfig,
    stage: Stage,
    text: str,
) -> dict[str, Any]:
    """Train a network with AdamW; one that was broken off goes on from where it was kept last.

    Parameters
    ----------
    net : torch module
        Trained in place.
    one_step : callable
        Works out the gradients of one batch and gives its loss, from the number of the step and
        the generator of all that is random.
    config : FitConfig
    stage : Stage
        Where curve and state are kept, and who is told of every step, as `text`.

    Returns
    -------
    dict
        The averaged state, on the CPU.
    """
    import torch

    torch.manual_seed(config.seed)
    progress = TrainingState.begin(net, config)
    if stage.resume and stage.kept.exists():
        progress.restore(stage.kept)
        log.info("%s: goes on at step %d", text, progress.step)
    begun = progress.step
    try:
        _advance(progress, one_step, config, stage, text)
    finally:  # cancelled, too
        if progress.step > begun:
            progress.keep(stage.kept)
    stage.task.step(config.steps, config.steps, text)
    return {k: v.cpu() for k, v in progress.mean.state.items()}


def _advance(
    progress: TrainingState,
    one_step: Callable[[int, Rng], float],
    config: FitConfig,
    stage: Stage,
    text: str,
) -> None:
    """All steps that are left; the state is kept every few minutes."""
    losses: list[float] = []
    last = time.monotonic()
    while progress.step < config.steps:
        stage.task.step(progress.step, config.steps, text)
        losses.append(progress.advance(one_step, config))
        if progress.step % config.report_every == 0 or progress.step == config.steps:
            progress.curve.append((progress.step, float(np.mean(losses[-config.report_every :]))))
            log.info("%s: step %d of %d, loss %.4f", text, *progress.told(config))
            _write(stage.curve, progress.curve)
        if time.monotonic() - last > config.keep_every:
            progress.keep(stage.kept)
            last = time.monotonic()


@dataclass(eq=False)
class TrainingState:
    """All that a training is at one moment, so that it can be broken off and go on.

    Attributes
    ----------
    net : torch module
    optimiser : torch.optim.Optimizer
    mean : Averaged
    rng : Generator
    step : int
        How many were done.
    curve : list of (int, float)
        Steps and losses reported.
    """

    net: Any
    optimiser: Any
    mean: Averaged
    rng: Rng
    step: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def begin(cls, net: Any, config: FitConfig) -> TrainingState:
        """A training that has not begun; a pretrained encoder learns at a rate of its own."""
        import torch

        encoder = getattr(getattr(net, "trunk", None), "encoder", None)
        slow = {id(p) for p in encoder.parameters()} if config.encoder < 1 and encoder else set()
        groups = [
            {"params": [p for p in net.parameters() if id(p) not in slow], "share": 1.0},
            {"params": [p for p in net.parameters() if id(p) in slow], "share": config.encoder},
        ]
        optimiser = torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=config.rate, weight_decay=config.decay
        )
        return cls(
            net, optimiser, Averaged(net, config.average), np.random.default_rng(config.seed)
        )

    def advance(self, one_step: Callable[[int, Rng], float], config: FitConfig) -> float:
        """One step; its loss is returned."""
        import torch

        for group in self.optimiser.param_groups:
            group["lr"] = config.rate * group["share"] * schedule(self.step, config.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss = one_step(self.step, self.rng)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.mean.update(self.net)
        self.step += 1
        return loss

    def told(self, config: FitConfig) -> tuple[int, int, float]:
        """Step, of how many, and the loss reported last."""
        return self.step, config.steps, self.curve[-1][1]

    def keep(self, path: Path) -> None:
        """Write all of it; the file appears whole or not at all."""
        import torch

        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "mean": self.mean.state,
            "updates": self.mean.steps,
            "step": self.step,
            "curve": self.curve,
            "rng": json.dumps(self.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        }
        with replacing_file(path) as part:
            torch.save(state, part)

    def restore(self, path: Path) -> None:
        """Go back to what `keep` wrote.

        Raises
        ------
        WeightsError
            If the file holds no training of this network.
        """
        import torch

        try:
            if not zipfile.is_zipfile(path):  # of what it may raise then torch says nothing
                raise ValueError("the file is damaged")
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.net.load_state_dict(state["net"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
            raise WeightsError(
                f"The training kept in {path} cannot go on: {error}. "
                "Remove the file to train from the beginning."
            ) from error
        self.mean.state = {k: v.to(self.mean.state[k]) for k, v in state["mean"].items()}
        self.mean.steps, self.step = state["updates"], state["step"]
        self.curve = [(int(step), float(loss)) for step, loss in state["curve"]]
        self.rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["torch"])


def _write(path: Path, curve: Sequence[tuple[int, float]]) -> None:
    with replacing_file(path) as part, part.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "loss"])
        table.writerows((step, f"{loss:.4f}") for step, loss in curve)
