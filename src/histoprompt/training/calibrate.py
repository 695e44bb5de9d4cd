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
from histoprompt.models.cells.probability import ProbabilityCalibration, evidence
from histoprompt.models.networks.prompt_maps import RasterPrompt, hints
from histoprompt.pipelines.evaluate.simulate import centre_click
from histoprompt.training.augment import Rgb
from histoprompt.training.data import Labels
from histoprompt.training.evaluate import Held, predict_maps
from histoprompt.training.prompt_targets import nuclei_of

# A nucleus that was found is one if its IoU with a true one is so large. Where no person parted
# those that touch, so much of it must lie where people drew nuclei.
IOU = 0.5
# Sides of the fields that a network is said to know.
_FIELD = 256
# So many of them say what tissue to learn from looks like.
_FIELDS = 30
# Of the windows that answer clicks.
_NEAR = 128


def judged(
    maps: Sequence[Sequence[NDArray[np.float32]]], held: Sequence[Held], params: DecodeParams
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Evidence of all nuclei that are found in each set, and whether each is one.

    Sets whose instances no person drew are left out where there are others.

    Returns
    -------
    list of ((n, k) float32, (n,) bool)
        One pair a set.
    """
    out = []
    only_silver = all(one.silver for one in held)
    for seen, one in zip(maps, held, strict=True):
        if one.silver and not only_silver:
            continue
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
    pair = overlaps(true, found)
    out[pair.found_ids[pair.matched(IOU)[1]] - 1] = True
    return out


def fit_calibration(
    pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> ProbabilityCalibration | None:
    """The logistic function that fits the nuclei of all sets; None if none of them is wrong."""
    seen = np.concatenate([x for x, _ in pairs]).astype(np.float64)
    truth = np.concatenate([t for _, t in pairs])
    if len(np.unique(truth)) < 2:
        return None
    mean, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-6)
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit((seen - mean) / spread, truth)
    weights = model.coef_[0] / spread
    intercept = float(model.intercept_[0] - weights @ mean)
    return ProbabilityCalibration(intercept, tuple(float(w) for w in weights))


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


def fit_trust(
    scores: NDArray[np.floating], truth: NDArray[np.floating], least: float = 0.1
) -> tuple[tuple[float, float], ...]:
    """What the scores of masks are worth: for each of k masks the line from score to true IoU.

    Parameters
    ----------
    scores, truth : (n, k) float
        Predicted and true IoU of n objects.
    least : float
        Smallest slope: a score that says nothing must not turn the order round.

    Returns
    -------
    tuple of (offset, slope)
    """
    lines = []
    for said, true in zip(scores.T.astype(float), truth.T.astype(float), strict=True):
        spread = said - said.mean()
        slope = max(least, float(spread @ true / max(spread @ spread, 1e-9)))
        lines.append((float(true.mean() - slope * said.mean()), slope))
    return tuple(lines)


def judged_clicks(
    prompt: Any, cells: Any, held: Sequence[Held], params: DecodeParams, objects: int = 6
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores and true IoU of the four masks that one click on held-out nuclei gives, (n, 4) each.

    Parameters
    ----------
    prompt, cells : PromptNet, NucleiNet
    held : sequence of Held
    params : DecodeParams
    objects : int
        Of each image at most; clicks lie where they are deepest.
    """
    import torch

    from histoprompt.models.networks.unet import absorbed
    from histoprompt.training.losses import mask_iou

    prompt.eval()
    rng = np.random.default_rng(0)
    scores, truths = [], []
    for sample in (s for one in held for s in one.samples):
        maps = predict_maps(cells, sample.image)
        nuclei = decode(maps, params)
        light = absorbed(torch.from_numpy(sample.image.transpose(2, 0, 1).copy())[None])[0]
        for mask in nuclei_of(np.where(sample.known, sample.labels, 0), objects, rng, clumps=0):
            at = _window(mask)
            said = RasterPrompt(np.zeros((2, *mask.shape), bool)).clicked(
                centre_click(mask), inside=True
            )
            planes = [torch.from_numpy(p[:, *at].copy())[None] for p in (maps, hints(said, nuclei))]
            with torch.inference_mode():
                logits, score = prompt(light[None, :, *at], *planes)
            goal = torch.from_numpy(mask[at])[None].float()
            scores.append(score[0].float().numpy())
            truths.append(mask_iou(logits.float(), goal, torch.ones_like(goal))[0].numpy())
    return np.array(scores, np.float32), np.array(truths, np.float32)


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Up to 128 px around the middle of a mask, inside its array."""
    out = []
    for axis in (1, 0):
        hit, length = np.flatnonzero(mask.any(axis)), mask.shape[1 - axis]
        side = min(_NEAR, length)
        start = int(np.clip(round((hit[0] + hit[-1] - side) / 2), 0, length - side))
        out.append(slice(start, start + side))
    return out[0], out[1]


def familiar_with(net: Any, images: Iterable[Rgb]) -> Familiar | None:
    """What fields to learn from look like to a network of nuclei; None of too few to tell.

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
    return Familiar.of(np.stack(rows)) if len(rows) >= _FIELDS else None


def _fields(image: Rgb) -> Iterable[Rgb]:
    h, w = image.shape[:2]
    for r in range(0, max(1, h - _FIELD + 1), _FIELD):
        for c in range(0, max(1, w - _FIELD + 1), _FIELD):
            yield image[r : r + _FIELD, c : c + _FIELD]
