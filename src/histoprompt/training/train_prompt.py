"""Train the prompt decoder: many objects of one field at a time, each corrected a few times."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.segmentation import felzenszwalb

from histoprompt.core.task import Task
from histoprompt.models.hints import Said, hints, padded_tokens
from histoprompt.models.instances import DecodeParams, decode, doubled
from histoprompt.training.augment import Rng
from histoprompt.training.data import FIELD
from histoprompt.training.encode import Encoded
from histoprompt.training.losses import mask_iou, mask_loss
from histoprompt.training.simulate import corrected, first_prompt
from histoprompt.training.train_instances import Averaged, collate, schedule

if TYPE_CHECKING:
    import torch

    from histoprompt.models.zoo.heads import InstanceHead, PromptHead

log = logging.getLogger(__name__)
STRIDE = 4


@dataclass(frozen=True)
class PromptConfig:
    """How the prompt decoder is trained.

    Attributes
    ----------
    objects : int
        Of one field, in one step.
    rounds : int
        Prompts and corrections of each.
    window : int
        Side in px of the part of the field a step sees; every `whole_every`-th sees all of it.
    regions, clumps : float
        Share of targets that are superpixels, and groups of touching nuclei.
    blind : float
        Share of fields shown without the instance decoder's maps.
    """

    steps: int = 2000
    objects: int = 8
    rounds: int = 3
    window: int = 128
    whole_every: int = 8
    rate: float = 1e-4
    new_rate: float = 1e-3
    decay: float = 0.01
    average: float = 0.995
    regions: float = 0.12
    clumps: float = 0.08
    blind: float = 0.15
    report_every: int = 50
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Target:
    """One object within its window.

    Attributes
    ----------
    origin : (row, col)
        Of the window in the field.
    mask, known : (s, s) bool
    """

    origin: tuple[int, int]
    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]


def window_origin(mask: NDArray[np.bool_], size: int) -> tuple[int, int]:
    """Where a window of this side, in steps of the stride, holds the middle of a mask."""
    out = []
    for axis in (1, 0):
        hit = np.flatnonzero(mask.any(axis))
        start = round(((hit[0] + hit[-1]) / 2 - size / 2) / STRIDE) * STRIDE
        out.append(int(min(max(start, 0), mask.shape[0] - size)))
    return out[0], out[1]


def pick_targets(item: Encoded, config: PromptConfig, size: int, rng: Rng) -> list[Target]:
    """Objects of a field to be prompted; may be none."""
    s = item.sample
    masks = _nuclei(s.labels, config.objects, rng)
    kinds = rng.random(len(masks))
    if (kinds < config.regions).any() or not masks:
        image = s.image[::2, ::2]
        level = felzenszwalb(image, scale=float(rng.choice([50, 150, 400])), sigma=0.8, min_size=60)
        level = level.repeat(2, 0).repeat(2, 1)
        regions = [level == v for v in rng.permutation(level.max() + 1)[: config.objects]]
        keep = [k for k in range(len(masks)) if kinds[k] >= config.regions]
        extra = regions[: max(1, len(masks) - len(keep))]
        targets = [(m, np.ones_like(m)) for m in extra]
        masks, kinds = [masks[k] for k in keep], kinds[keep]
    else:
        targets = []
    groups, _ = ndi.label(s.labels > 0)
    for mask, kind in zip(masks, kinds, strict=True):
        if kind < config.regions + config.clumps:
            grown = groups == groups[tuple(np.argwhere(mask)[0])]
            targets.append((grown, s.known))
        else:
            targets.append((mask, s.known))
    found = [_windowed(mask, known, size) for mask, known in targets]
    return [t for t in found if t.mask.sum() >= 12][: config.objects]


def _nuclei(labels: NDArray[np.int32], count: int, rng: Rng) -> list[NDArray[np.bool_]]:
    areas = np.bincount(labels.ravel())
    good = np.flatnonzero(areas >= 30)
    good = good[good > 0]
    return [labels == v for v in rng.permutation(good)[:count]]


def _windowed(mask: NDArray[np.bool_], known: NDArray[np.bool_], size: int) -> Target:
    origin = window_origin(mask, size)
    at = np.s_[origin[0] : origin[0] + size, origin[1] : origin[1] + size]
    return Target(origin, mask[at], known[at])


@dataclass(frozen=True, eq=False)
class FieldView:
    """What the decoder needs of one field: embedding, position code, fine features and nuclei."""

    embedding: torch.Tensor
    position: torch.Tensor
    fine: torch.Tensor
    nuclei: Sequence[NDArray[np.int32]]

    def windows(self, origins: Sequence[tuple[int, int]], size: int) -> FieldView:
        """The windows at these origins, one for each prompt."""
        import torch

        def cut(x: torch.Tensor, unit: int) -> torch.Tensor:
            k = size // unit
            parts = [
                x[:, :, r // unit : r // unit + k, c // unit : c // unit + k] for r, c in origins
            ]
            return torch.cat(parts)

        nuclei = [self.nuclei[0][r : r + size, c : c + size] for r, c in origins]
        return FieldView(
            cut(self.embedding, STRIDE), cut(self.position, STRIDE), cut(self.fine, 1), nuclei
        )


def field_view(net: PromptHead, cells: InstanceHead, item: Encoded, *, blind: bool) -> FieldView:
    """Look at a field with the instance decoder's maps and nuclei, or without."""
    import torch

    position = net.position()
    embedding, planes = (x.to(position.device) for x in collate([item])[:2])
    with torch.no_grad():
        maps = cells(embedding, planes).sigmoid().float()
    maps = torch.zeros_like(maps) if blind else maps
    nuclei = doubled(decode(maps[0].cpu().numpy(), DecodeParams()))
    return FieldView(embedding, position, net.fine(planes, maps), [nuclei])


def chosen(logits: torch.Tensor, scores: torch.Tensor, said: Sequence[Said]) -> torch.Tensor:
    """The mask shown to the person: the best of three for one click, else the single one."""
    import torch

    one = torch.tensor([s.is_one_click for s in said], device=scores.device)
    best = torch.where(one, 1 + scores[:, 1:].argmax(1), 0)
    return logits[torch.arange(len(logits)), best]


def rounds_loss(
    net: PromptHead, view: FieldView, targets: Sequence[Target], config: PromptConfig, rng: Rng
) -> torch.Tensor:
    """Mean loss over the rounds of prompting all targets."""
    import torch

    device = view.embedding.device
    mask = torch.from_numpy(np.stack([t.mask for t in targets])).float().to(device)
    known = torch.from_numpy(np.stack([t.known for t in targets])).float().to(device)
    said = [first_prompt(t.mask, ~t.mask & t.known, rng) for t in targets]
    origins = [t.origin for t in targets]
    total = torch.zeros((), device=device)
    for _ in range(config.rounds):
        drawn = np.stack([hints(s, n) for s, n in zip(said, view.nuclei, strict=True)])
        points, labels = (torch.from_numpy(x).to(device) for x in padded_tokens(said, origins))
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits, scores = net(
                view.embedding,
                view.position,
                view.fine,
                points,
                labels,
                hints=torch.from_numpy(drawn).to(device),
            )
        logits, scores = logits.float(), scores.float()
        total = total + _round_loss(logits, scores, mask, known, said)
        shown = (chosen(logits.detach(), scores.detach(), said) > 0).cpu().numpy()
        said = [
            corrected(s, shown[i], t.mask, t.known, rng)
            for i, (s, t) in enumerate(zip(said, targets, strict=True))
        ]
    return total / config.rounds


def _round_loss(
    logits: torch.Tensor,
    scores: torch.Tensor,
    mask: torch.Tensor,
    known: torch.Tensor,
    said: Sequence[Said],
) -> torch.Tensor:
    import torch

    each = mask_loss(logits, mask, known)
    one = torch.tensor([s.is_one_click for s in said], device=logits.device)
    best = each[:, 1:].min(1).values
    shape = torch.where(one, best + 0.3 * each[:, 0], each[:, 0] + 0.1 * best)
    truth = mask_iou(logits.detach(), mask, known).float()
    return shape.mean() + ((scores - truth) ** 2).mean()


def train_prompt(
    items: Sequence[Encoded],
    net: PromptHead,
    cells: InstanceHead,
    config: PromptConfig,
    curve: Path,
    *,
    task: Task | None = None,
) -> dict[str, Any]:
    """Train the decoder in place; its averaged state is returned.

    Parameters
    ----------
    items : sequence of Encoded
    net : PromptHead
        Starts from what it holds, LiteMedSAM's values as a rule.
    cells : InstanceHead
        Trained; stays as it is.
    curve : Path
        CSV of step and loss.
    """
    import torch

    task = task or Task()
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    optimiser = torch.optim.AdamW(_groups(net, config), weight_decay=config.decay)
    base = [g["lr"] for g in optimiser.param_groups]
    average, losses = Averaged(net, config.average), []
    cells.eval()
    net.train()
    with curve.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "loss"])
        for step in range(config.steps):
            for group, rate in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = rate * schedule(step, config.steps)
            item = items[rng.integers(len(items))]
            whole = step % config.whole_every == config.whole_every - 1
            size = FIELD if whole else config.window
            targets = pick_targets(item, config, size, rng)
            if not targets:
                continue
            targets = targets[: max(1, config.objects // 4)] if whole else targets
            view = field_view(net, cells, item, blind=bool(rng.random() < config.blind))
            view = view.windows([t.origin for t in targets], size)
            loss = rounds_loss(net, view, targets, config, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            average.update(net)
            losses.append(float(loss.detach()))
            if (step + 1) % config.report_every == 0 or step + 1 == config.steps:
                mean = float(np.mean(losses[-config.report_every :]))
                table.writerow([step + 1, f"{mean:.4f}"])
                file.flush()
                log.info("prompts: step %d of %d, loss %.4f", step + 1, config.steps, mean)
            task.step(step + 1, config.steps, "training the prompt decoder")
    return {k: v.cpu() for k, v in average.state.items()}


def _groups(net: PromptHead, config: PromptConfig) -> list[dict[str, Any]]:
    """Published values move slowly, new ones fast; unused ones not at all."""
    new = [*net.hints.parameters(), *net.skip.parameters(), *net.lift.parameters()]
    net.prompt_encoder.mask_downscaling.requires_grad_(False)
    ids = {id(p) for p in new}
    old = [p for p in net.parameters() if id(p) not in ids and p.requires_grad]
    return [{"params": old, "lr": config.rate}, {"params": new, "lr": config.new_rate}]
