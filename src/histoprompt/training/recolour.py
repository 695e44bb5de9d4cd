"""Tissue stained otherwise than it was: white balance, and haematoxylin with DAB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.pipelines.evaluate.simulate import Rng, smooth_noise
from histoprompt.training.augment import (
    HAEMATOXYLIN,
    Float,
    Rgb,
    jittered,
    to_od,
    to_rgb,
    unmix,
)

Labels = NDArray[np.int32]

# Absorption of diaminobenzidine in RGB: Ruifrok & Johnston, Anal Quant Cytol Histol 23, 2001.
DAB = np.array([0.268, 0.570, 0.776], np.float32)
BROWN = ("membrane", "nucleus", "cytoplasm", "tissue")  # what may take it


def balanced(rgb: Rgb, rng: Rng) -> Rgb:
    """The image with its background made white, wholly in most cases and in part in others."""
    density = to_od(rgb)
    glass = np.percentile(density.reshape(-1, 3), 2, axis=0)
    share = 1.0 if rng.random() < 0.7 else rng.uniform(0, 1)
    return to_rgb((density - share * glass).astype(np.float32))


def with_dab(rgb: Rgb, labels: Labels, rng: Rng, kind: int | None = None) -> Rgb:
    """Blue nuclei, faint tissue, and brown in membranes, nuclei or cytoplasm of some cells.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        Stained with haematoxylin and eosin.
    labels : (h, w) int32
        Its nuclei.
    kind : int, optional
        Which of `BROWN` takes the dye; any of them if not given.
    """
    haem, eosin, _ = unmix(to_od(rgb))
    brown, hidden = _brown(labels, eosin, rng, int(rng.integers(4)) if kind is None else kind)
    blue = haem * np.exp(rng.uniform(np.log(0.3), np.log(1.2))) * (1 - hidden)
    dab = jittered(DAB, rng, 0.05)
    counter = jittered(HAEMATOXYLIN, rng, 0.06)
    faint = (eosin * rng.uniform(0.03, 0.3))[..., None] * jittered(DAB, rng, 0.15)
    od = blue[..., None] * counter + faint + brown[..., None] * dab
    return to_rgb(np.asarray(od + rng.uniform(0, 0.04), np.float32))


def _brown(labels: Labels, eosin: Float, rng: Rng, kind: int) -> tuple[Float, Float]:
    """Amount of DAB, and the share of haematoxylin that it hides, both (h, w)."""
    hidden = np.zeros(labels.shape, np.float32)
    away, nearest = ndi.distance_transform_edt(labels == 0, return_indices=True)
    cell = labels[tuple(nearest)]
    count = int(labels.max()) + 1
    taken = (rng.random(count) < rng.uniform(0, 1)) * rng.uniform(0.4, 1.0, count)
    strength = (taken[cell] * rng.uniform(0.3, 1.8)).astype(np.float32)
    patchy = 0.4 + 0.6 * smooth_noise(labels.shape, rng.uniform(2, 12), rng)
    if kind == 0:  # membrane: a ring some way off the nucleus
        off, width = rng.uniform(2, 8), rng.uniform(0.8, 2.0)
        amount = strength * np.exp(-(((away - off) / width) ** 2)) * patchy
    elif kind == 1:  # nucleus
        inside = ndi.gaussian_filter((labels > 0).astype(np.float32), 0.8)
        amount = 1.5 * strength * inside * patchy
        hidden = np.minimum(1, taken[cell]).astype(np.float32) * rng.uniform(0.3, 1.0) * inside
    elif kind == 2:  # cytoplasm near the nucleus
        amount = strength * 0.6 * (labels == 0) * np.exp(-away / rng.uniform(3, 12)) * patchy
    else:  # all that took eosin, in parts of the field
        parts = smooth_noise(labels.shape, rng.uniform(20, 60), rng) > rng.uniform(0.2, 0.7)
        soft = ndi.gaussian_filter(parts.astype(np.float32), 4)
        amount = eosin * rng.uniform(0.5, 2.0) * soft * patchy
    return amount.astype(np.float32), hidden
