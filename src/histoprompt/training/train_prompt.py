"""Train the network that answers prompts: objects prompted and corrected a few times each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.models.cells.instances import DecodeParams, decode
from histoprompt.models.networks.prompt_maps import RasterPrompt, hints
from histoprompt.pipelines.evaluate.simulate import Rng
from histoprompt.training.augment import Rgb
from histoprompt.training.batch import Share, changed_light, drawn
from histoprompt.training.data import FIELD
from histoprompt.training.evaluate import predict_maps
from histoprompt.training.loop import FitConfig, Stage, fit
from histoprompt.training.losses import bounded, mask_iou, mask_loss
from histoprompt.training.prompt_targets import Target, pick_targets
from histoprompt.training.simulate import corrected, first_prompt

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PromptConfig(FitConfig):
    """How the network of prompts is trained.

    Attributes
    ----------
    objects : int
        Of one step.
    rounds : int
        Prompts and corrections of each.
    window : int
        Side in px of what is seen around an object; every `whole_every`-th step sees whole fields
        and a quarter of the objects.
    regions, wide_regions : float
        Share of targets that are regions of the image and no nuclei, in windows and whole fields.
    blind : float
        Share of fields shown without what the network of nuclei found.
    grey : float
        Share of fields shown without colour.
    bound : float
        What the loss of one object comes to at the most: without it the few regions that nobody
        would recognise outweigh all nuclei of a step.
    forgets : float
        Share of corrections shown without the answer before.
    long_every : int
        Every so-manieth step corrects half of the objects twice as often; 0 for none.
    relaxed : float
        What the nested masks that are not the best of a lone click weigh together, 0 to 1; with 0
        one that is never the best learns nothing (C. Rupprecht et al., "Learning in an uncertain
        world", 2017).
    """

    objects: int = 12
    rounds: int = 3
    window: int = 128
    whole_every: int = 8
    regions: float = 0.08
    wide_regions: float = 0.5
    blind: float = 0.12
    grey: float = 0.12
    bound: float = 3.0
    forgets: float = 0.25
    long_every: int = 4
    relaxed: float = 0.0


@dataclass(frozen=True, eq=False)
class Finder:
    """The trained network of nuclei, and how its maps become nuclei; both stay as they are."""

    net: Any
    params: DecodeParams


@dataclass(frozen=True, eq=False)
class TrainingView:
    """A target with what the network sees in its window.

    Attributes
    ----------
    target : Target
    light, maps : (3, s, s) tensor
    nuclei : (s, s) int32
    """

    target: Target
    light: torch.Tensor
    maps: torch.Tensor
    nuclei: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Prompted:
    """Targets in windows of one size, stacked.

    Attributes
    ----------
    shown : sequence of TrainingView
    light, maps : (n, 3, s, s) tensor
    mask, known : (n, s, s) float tensor
    """

    shown: Sequence[TrainingView]
    light: torch.Tensor
    maps: torch.Tensor
    mask: torch.Tensor
    known: torch.Tensor


def without_colour(image: Rgb, rng: Rng) -> Rgb:
    """The (h, w, 3) image in grey, at times as a negative."""
    grey = image.mean(-1, keepdims=True).astype(np.uint8).repeat(3, -1)
    return np.asarray(255 - grey if rng.random() < 0.4 else grey, np.uint8)


def show(
    cells: Finder, shares: Sequence[Share], config: PromptConfig, *, count: int, size: int, rng: Rng
) -> list[TrainingView]:
    """Objects of random samples, as many as wanted."""
    import torch

    out: list[TrainingView] = []
    chance = config.wide_regions if size == FIELD else config.regions
    while len(out) < count:
        sample = drawn(shares, rng).sample
        image = without_colour(sample.image, rng) if rng.random() < config.grey else sample.image
        with torch.autocast("cpu", torch.bfloat16, enabled=config.half):
            maps = predict_maps(cells.net, image)
        if rng.random() < config.blind:
            maps = np.zeros_like(maps)
        nuclei = decode(maps, cells.params)
        light = changed_light(image, rng)
        for target in pick_targets(sample, min(4, count - len(out)), size, chance, rng):
            r, c = target.origin
            at = np.s_[:, r : r + size, c : c + size]
            seen = torch.from_numpy(maps[at].copy())
            out.append(TrainingView(target, light[at], seen, nuclei[at[1:]]))
    return out


def stacked(shown: Sequence[TrainingView], device: Any) -> Prompted:
    """Tensors of targets whose windows have one size."""
    import torch

    def planes(arrays: Sequence[NDArray[np.bool_]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays)).float().to(device)

    return Prompted(
        shown,
        _last(torch.stack([s.light for s in shown]).to(device)),
        _last(torch.stack([s.maps for s in shown]).to(device)),
        planes([s.target.mask for s in shown]),
        planes([s.target.known for s in shown]),
    )


def _last(planes: torch.Tensor) -> torch.Tensor:
    """The same tensor with channels last in memory, which takes two thirds of the time."""
    import torch

    return planes.contiguous(memory_format=torch.channels_last)


def rounds(net: Any, batch: Prompted, config: PromptConfig, count: int, rng: Rng) -> float:
    """Prompt all targets, correct them, and gather the gradients; the mean loss is returned.

    Parameters
    ----------
    count : int
        Prompts and corrections of each target.
    """
    import torch

    targets = [s.target for s in batch.shown]
    said = [first_prompt(t.mask, ~t.mask & t.known, rng) for t in targets]
    total = 0.0
    for number in range(count):
        pictures = np.stack([hints(s, w.nuclei) for s, w in zip(said, batch.shown, strict=True)])
        drawings = _last(torch.from_numpy(pictures).to(batch.light.device))
        with torch.autocast(drawings.device.type, torch.bfloat16, enabled=config.half):
            logits, scores = net(batch.light, batch.maps, drawings)
        logits, scores = logits.float(), scores.float()
        loss = round_loss(logits, scores, batch, said, config) / count
        loss.backward()
        total += float(loss.detach())
        if number + 1 < count:
            masks = (chosen(logits, scores, said) > 0).cpu().numpy()
            pairs = zip(said, targets, masks, strict=True)
            said = [
                replace(
                    corrected(s, m, t.mask, t.known, rng),
                    before=None if rng.random() < config.forgets else m,
                )
                for s, t, m in pairs
            ]
    return total


def chosen(
    logits: torch.Tensor, scores: torch.Tensor, said: Sequence[RasterPrompt]
) -> torch.Tensor:
    """The mask shown first, (n, h, w): of a lone click the best of three, else the single one."""
    import torch

    from histoprompt.models.networks.unet import fair

    one = torch.tensor([s.is_one_click for s in said], device=scores.device)
    best = torch.where(one, 1 + fair(scores)[:, 1:].argmax(1), 0)
    return logits.detach()[torch.arange(len(logits)), best]


def round_loss(
    logits: torch.Tensor,
    scores: torch.Tensor,
    batch: Prompted,
    said: Sequence[RasterPrompt],
    config: PromptConfig,
) -> torch.Tensor:
    """Loss of one round: of a lone click the best of three nested masks, else the single one."""
    import torch

    each = bounded(mask_loss(logits, batch.mask, batch.known), config.bound)
    one = torch.tensor([s.is_one_click for s in said], device=logits.device)
    nested = each[:, 1:]
    least = nested.min(1).values
    others = (nested.sum(1) - least) / (nested.shape[1] - 1)
    best = torch.lerp(least, others, config.relaxed)
    shape = torch.where(one, best + 0.4 * each[:, 0], each[:, 0] + 0.1 * best)
    truth = mask_iou(logits.detach(), batch.mask, batch.known).float()
    return shape.mean() + ((scores - truth) ** 2).mean()


def remembering(net: Any) -> Any:
    """The network with all planes of prompts; one that had fewer gives what it gave without them.

    Parameters
    ----------
    net : PromptNet
    """
    import torch

    from histoprompt.models.networks.unet import FIRST, HINT_CHANNELS, PromptNet, trunk_of

    if net.hints == HINT_CHANNELS:
        return net
    state = dict(net.state_dict())
    trunk = trunk_of(state)
    wider = PromptNet(trunk, again=net.again is not None)
    for name in (FIRST[trunk], "again.0.weight"):
        if name in state:  # planes that are new count for nothing until they are learnt
            weight, wanted = state[name], wider.get_parameter(name).shape
            more = weight.new_zeros(weight.shape[0], wanted[1] - weight.shape[1], *wanted[2:])
            state[name] = torch.cat([weight, more], 1)
    wider.load_state_dict(state)
    wider.to(next(net.parameters()).device)
    return wider


def start_from(net: Any, cells: Any) -> None:
    """Begin with what the network of nuclei has learnt; it has seen no maps and no prompts yet."""
    import torch

    own, other = net.trunk.state_dict(), cells.trunk.state_dict()
    taken = {k: v.clone() for k, v in other.items() if own[k].shape == v.shape}
    net.trunk.load_state_dict(taken, strict=False)
    (first,) = (k for k, v in other.items() if own[k].shape != v.shape)
    weight = net.trunk.get_parameter(first)
    with torch.no_grad():
        torch.nn.init.normal_(weight, 0, 0.05)
        weight[:, :3] = cells.trunk.get_parameter(first)
        # Features of a trained trunk are large: scores drawn from them at random would be, too.
        net.quality.weight.zero_()
        net.quality.bias.fill_(0.7)


def train_prompt(
    shares: Sequence[Share],
    net: Any,
    cells: Finder,
    config: PromptConfig,
    stage: Stage,
) -> dict[str, Any]:
    """Train a `PromptNet` in place; its averaged state is returned.

    Parameters
    ----------
    cells : Finder
        What is found in each field before anything is said.
    stage : Stage
        Where curve and state are kept.
    """
    import torch

    device = next(net.parameters()).device
    cells.net.eval()
    net.train().to(memory_format=torch.channels_last)

    def one_step(step: int, rng: Rng) -> float:
        whole = step % config.whole_every == config.whole_every - 1
        size = FIELD if whole else config.window
        often = 2 if config.long_every and step % config.long_every == 1 else 1
        count = max(2, config.objects // often // (4 if whole else 1))
        batch = stacked(show(cells, shares, config, count=count, size=size, rng=rng), device)
        return rounds(net, batch, config, often * config.rounds, rng)

    return fit(net, one_step, config, stage, "training the network of prompts")
