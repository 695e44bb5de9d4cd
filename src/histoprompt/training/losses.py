"""Losses that leave out what nobody knows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def instance_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of the foreground, cross-entropy of distance and boundary.

    Parameters
    ----------
    logits, target : (n, 3, h, w)
        As `NucleiNet.forward` and `targets.instance_targets` give them.
    known : (n, 3, h, w) float
        1 where the truth of a map is known, else 0.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    scale = torch.tensor([1.0, 2.0, 0.7], device=logits.device)
    pixel = (entropy * known).sum((0, 2, 3)) / known.sum((0, 2, 3)).clamp_min(1)
    return (pixel * scale).sum() + soft_dice(logits[:, 0], target[:, 0], known[:, 0]).mean()


def soft_dice(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """1 - Dice of probabilities over the last two axes."""
    p = logits.sigmoid() * known
    t = target * known
    overlap = (p * t).sum((-1, -2))
    return 1 - (2 * overlap + 1) / (p.sum((-1, -2)) + t.sum((-1, -2)) + 1)


def focal(logits: Tensor, target: Tensor, known: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal cross-entropy, mean over the known pixels of the last two axes.

    Lin et al., "Focal loss for dense object detection", 2017.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    missed = 1 - torch.exp(-entropy)
    total = (entropy * missed**gamma * known).sum((-1, -2))
    return total / known.sum((-1, -2)).clamp_min(1)


def mask_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Soft Dice + 20 focal of each candidate, (n, k) from (n, k, h, w), (n, h, w), (n, h, w)."""
    goal, seen = target[:, None].expand_as(logits), known[:, None].expand_as(logits)
    return soft_dice(logits, goal, seen) + 20 * focal(logits, goal, seen)


def bounded(loss: Tensor, most: float) -> Tensor:
    """A loss that is itself where small and comes to `most` where large, each value by itself."""
    return most * (1 - torch.exp(-loss / most))


def mask_iou(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """IoU of each thresholded candidate with the target, (n, k)."""
    hit = (logits > 0) & (known[:, None] > 0)
    goal = ((target > 0.5) & (known > 0))[:, None]
    both, either = (hit & goal).sum((-1, -2)), (hit | goal).sum((-1, -2))
    return both / either.clamp_min(1)
