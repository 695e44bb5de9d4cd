"""Looks of single nuclei, and of what may be mistaken for them, made up in optical density.

Nuclei of one field differ: dark or pale, even or with a bare inside, a sharp rim and nucleoli,
round or drawn out. What is dark without being a nucleus stands beside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.draw import ellipse
from skimage.transform import AffineTransform, warp

from histoprompt.pipelines.evaluate.simulate import Rng, smooth_noise
from histoprompt.training.augment import EOSIN, Float, jittered

Labels = NDArray[np.int32]


def drawn_out(amount: Float, labels: Labels, rng: Rng, most: float = 2.2) -> tuple[Float, Labels]:
    """Both arrays stretched in a random direction, so that round nuclei become spindles."""
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, np.log(most)))
    h, w = labels.shape
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.diag([np.sqrt(stretch), 1 / np.sqrt(stretch)])
    matrix = np.eye(3)
    matrix[:2, :2] = turn @ np.linalg.inv(scale) @ turn.T
    centre = np.array([(w - 1) / 2, (h - 1) / 2])
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre
    back = AffineTransform(matrix=matrix)
    moved = warp(amount, back, order=1, mode="symmetric", preserve_range=True)
    shapes = warp(labels.astype(float), back, order=0, mode="symmetric", preserve_range=True)
    return moved.astype(np.float32), shapes.astype(np.int32)


def textured(amount: Float, labels: Labels, rng: Rng) -> Float:
    """The nuclear stain of a field with a look of its own for each nucleus.

    Parameters
    ----------
    amount : (h, w) float32
        About 1 in a dark nucleus.
    labels : (h, w) int32
    """
    count = int(labels.max()) + 1
    depth = ndi.distance_transform_edt(labels > 0)
    gain = np.exp(rng.normal(-0.05, rng.uniform(0.05, 0.4), count))
    pale = np.where(rng.random(count) < rng.choice([0.0, 0.3, 0.8]), rng.uniform(0.25, 0.8), 1.0)
    rim = rng.uniform(1.5, 3.5)
    inside = np.clip((depth - rim) / 1.5, 0, 1)
    bare = 1 - inside * (1 - pale[labels])
    grain = 1 + rng.uniform(0, 0.5) * (smooth_noise(labels.shape, rng.uniform(2, 6), rng) - 0.5)
    spots = smooth_noise(labels.shape, rng.uniform(3, 6), rng) > rng.uniform(0.72, 0.95)
    nucleoli = rng.uniform(0, 0.6) * ndi.gaussian_filter((spots & (depth > 4)).astype(float), 0.8)
    out = (amount * bare * grain + nucleoli * (labels > 0)) * gain[labels]
    return np.asarray(out, np.float32)


def distractors(shape: tuple[int, int], free: NDArray[np.bool_], rng: Rng) -> Float:
    """Density (h, w, 3) of red cells, specks of dirt and pigment where the field is free."""
    od = np.zeros((*shape, 3), np.float32)
    if rng.random() < 0.35:
        od += _discs(shape, rng, int(rng.integers(3, 25)), (8, 15))[..., None] * (
            rng.uniform(0.3, 0.9) * jittered(EOSIN, rng, 0.12)
        )
    if rng.random() < 0.25:
        grey = np.ones(3, np.float32) * rng.uniform(0.4, 1.5)
        od += _discs(shape, rng, int(rng.integers(1, 8)), (1.5, 5))[..., None] * grey
    return od * ndi.gaussian_filter(free.astype(np.float32), 1.5)[..., None]


def vacuoles(shape: tuple[int, int], rng: Rng) -> Float:
    """How much tissue is left, (h, w) in [0, 1]: holes with sharp edges, like those of fat."""
    if rng.random() > 0.3:
        return np.ones(shape, np.float32)
    holes = _discs(shape, rng, int(rng.integers(1, 8)), (10, 60))
    return (1 - rng.uniform(0.7, 1) * holes).astype(np.float32)


def _discs(shape: tuple[int, int], rng: Rng, count: int, radii: tuple[float, float]) -> Float:
    """Blurred ellipses at random places, (h, w) in [0, 1]."""
    out = np.zeros(shape, np.float32)
    for _ in range(count):
        r = rng.uniform(*radii)
        rows, cols = ellipse(
            rng.uniform(0, shape[0]),
            rng.uniform(0, shape[1]),
            r,
            r * rng.uniform(0.6, 1),
            shape=shape,
        )
        out[rows, cols] = 1
    return np.asarray(ndi.gaussian_filter(out, rng.uniform(0.6, 1.5)), np.float32)
