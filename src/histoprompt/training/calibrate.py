"""What a count can promise: how likely a nucleus is one, and what tissue a network knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from histoprompt.core.metrics import overlaps
from histoprompt.models.cells.familiar import Familiar, appearance
from histoprompt.models.cells.instances import DecodeParams, decode
from histoprompt.models.cells.probability import Calibration, evidence
from histoprompt.training.augment import Rgb
from histoprompt.training.data import Labels
from histoprompt.training.evaluate import Held

# A nucleus that was found is one if its IoU with a true one is so large. Where no person parted
# those that touch, so much of it must lie where people drew nuclei.
IOU = 0.5
# Sides of the fields that a network is said to know.
_FIELD = 256


def judged(
    maps: Sequence[Sequence[NDArray[np.float32]]], held: Sequence[Held], params: DecodeParams
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Evidence of all nuclei that are found in each set, and whether each is one.

    Returns
    -------
    list of ((n, k) float32, (n,) bool)
        One pair a set.
    """
    out = []
    for seen, one in zip(maps, held, strict=True):
        rows, truths = [], []
        for sample, m in zip(one.samples, seen, strict=True):
            found = decode(m, params)
            count = int(found.max(initial=0))
            inside = np.bincount(found[sample.known].ravel(), minlength=count + 1)[1:]
            whole = 2 * inside > np.bincount(found.ravel(), minlength=count + 1)[1:]
            rows.append(evidence(m, found)[whole])
            truths.append(_is_nucleus(sample.labels, found, silver=one.silver)[whole])
        out.append((np.concatenate(rows), np.concatenate(truths)))
    return out


def _is_nucleus(true: Labels, found: Labels, *, silver: bool) -> NDArray[np.bool_]:
    """Whether each of n labels found is a nucleus, (n,)."""
    count = int(found.max(initial=0))
    if silver:
        both = np.bincount(found[true > 0].ravel(), minlength=count + 1)[1:]
        return np.asarray(both >= IOU * np.bincount(found.ravel(), minlength=count + 1)[1:])
    out = np.zeros(count, bool)
    out[overlaps(true, found).matched(IOU)[1]] = True
    return out


def fit_calibration(
    pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> Calibration | None:
    """The logistic function that fits all sets, each weighing alike; None if none is wrong."""
    seen = np.concatenate([x for x, _ in pairs]).astype(np.float64)
    truth = np.concatenate([t for _, t in pairs])
    if len(np.unique(truth)) < 2:
        return None
    weight = np.concatenate([np.full(len(t), 1 / len(t)) for _, t in pairs if len(t)])
    mean, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-6)
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit((seen - mean) / spread, truth, sample_weight=weight / weight.mean())
    weights = model.coef_[0] / spread
    intercept = float(model.intercept_[0] - weights @ mean)
    return Calibration(intercept, tuple(float(w) for w in weights))


def calibration_error(
    probability: NDArray[np.floating], truth: NDArray[np.bool_], bins: int = 10
) -> float:
    """Expected calibration error: the mean distance of stated and true share, over equal bins.

    Guo et al., "On calibration of modern neural networks", 2017.
    """
    if not len(truth):
        return 0.0
    part = np.minimum((probability * bins).astype(int), bins - 1)
    stated, true = (np.bincount(part, weights=v, minlength=bins) for v in (probability, truth))
    return float(np.abs(stated - true).sum() / len(truth))


def reliability(
    probability: NDArray[np.floating], truth: NDArray[np.bool_], bins: int = 10
) -> list[tuple[float, float, int]]:
    """Mean stated probability, share that is true, and how many, in each bin that is not empty."""
    part = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        (
            float(probability[part == b].mean()),
            float(truth[part == b].mean()),
            int((part == b).sum()),
        )
        for b in range(bins)
        if (part == b).any()
    ]


def familiar_with(net: Any, images: Iterable[Rgb]) -> Familiar:
    """What fields to learn from look like to a network of nuclei.

    Parameters
    ----------
    images : iterable of (h, w, 3) uint8
        Sides of 256 px or more; what is beyond whole fields is left out.
    """
    import torch

    from histoprompt.models.networks.unet import absorbed

    net.eval()
    rows = []
    for image in images:
        for field in _fields(image):
            planes = torch.from_numpy(field.transpose(2, 0, 1).copy())[None]
            with torch.inference_mode():
                coarse = net.described(absorbed(planes))[1]
            rows.append(appearance(coarse[0].float().numpy(), field))
    return Familiar.of(np.stack(rows))


def _fields(image: Rgb) -> Iterable[Rgb]:
    h, w = image.shape[:2]
    for r in range(0, max(1, h - _FIELD + 1), _FIELD):
        for c in range(0, max(1, w - _FIELD + 1), _FIELD):
            yield image[r : r + _FIELD, c : c + _FIELD]
