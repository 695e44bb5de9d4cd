"""Fitting images into a network's square input, and its logits back onto the image.

Every published recipe of the SAM family resizes bilinearly along one axis, cuts the padding off
and resizes again. Along an axis that is one small matrix, so a mask costs two matrix products on
just the rows and columns it can reach, whatever the recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class InputFit:
    """How an image lies in the network's input.

    Attributes
    ----------
    shape : (rows, cols)
        Of the image.
    scale : (rows, cols)
        Input pixels per image pixel.
    middle : int
        Side the square logits are first resized to.
    kept : (rows, cols)
        Top left part of that which the image fills; the rest is padding.
    """

    shape: Shape
    scale: tuple[float, float]
    middle: int
    kept: Shape


Prepare = Callable[[NDArray[np.uint8], int], tuple[NDArray[np.float32], InputFit]]


def longest_side(shape: Shape, side: int) -> Shape:
    """The shape whose longest side is `side`, aspect kept, rounded as the SAM family does."""
    ratio = side / max(shape)
    return max(1, int(shape[0] * ratio + 0.5)), max(1, int(shape[1] * ratio + 0.5))


def area_resize(image: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """Resize an (h, w, c) uint8 image so that each new pixel is the mean of the area it covers.

    The same rule as OpenCV's ``INTER_AREA``, when shrinking and when enlarging.
    """
    rows = _area_means(image.astype(np.float64), shape[0])
    means = _area_means(rows.swapaxes(0, 1), shape[1]).swapaxes(0, 1)
    return np.rint(means).astype(np.uint8)


def _area_means(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Means over `n` equal intervals of the first axis, from the integral at their edges."""
    size = len(values)
    if n == size:
        return values
    integral = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    edges = np.arange(n + 1) * (size / n)
    whole = np.minimum(edges.astype(np.intp), size - 1)
    part = (edges - whole)[:, None, None]
    at_edges = integral[whole] + part * values[whole]
    means: NDArray[np.float64] = np.diff(at_edges, axis=0) * (n / size)
    return means


def pad_square(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """(h, w, 3) to (3, side, side), zeros below and to the right."""
    out = np.zeros((3, side, side), np.float32)
    out[:, : values.shape[0], : values.shape[1]] = values.transpose(2, 0, 1)
    return out


def min_max(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Values stretched to [0, 1] by the least and greatest of the whole image."""
    low, high = float(image.min()), float(image.max())
    stretched = (image.astype(np.float32) - low) / max(high - low, 1e-8)
    return stretched.astype(np.float32)


def mask_from_logits(logits: NDArray[np.float32], fit: InputFit) -> NDArray[np.bool_]:
    """The mask on the image: where the resized logits are above 0, i.e. sigmoid above 0.5.

    Parameters
    ----------
    logits : (n, n) float32
        The decoder's square output, or anything of the same sign.
    fit : InputFit
        From the preparation of the image.

    Returns
    -------
    (h, w) bool
        In pixels of the image.
    """
    mask = np.zeros(fit.shape, bool)
    positive: NDArray[np.bool_] = np.greater(logits, 0)
    if not positive.any():
        return mask
    rows = _resize_matrix(len(logits), fit.middle, fit.kept[0], fit.shape[0])
    cols = _resize_matrix(len(logits), fit.middle, fit.kept[1], fit.shape[1])
    # A resized value is a weighted mean of logits: above 0 only where one of them is.
    down = _reach(rows, np.asarray(positive.any(axis=1)))
    across = _reach(cols, np.asarray(positive.any(axis=0)))
    mask[down, across] = (cols[across] @ (rows[down] @ logits).T).T > 0
    return mask


def _reach(matrix: csr_array, positive: NDArray[np.bool_]) -> slice:
    """From the first to the last output that takes from a positive input."""
    hit = np.flatnonzero(matrix @ positive.astype(np.float32))
    return slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 0)


@lru_cache(maxsize=64)
def _resize_matrix(low: int, middle: int, kept: int, final: int) -> csr_array:
    """(final, low): resize `low` values to `middle`, keep the first `kept`, resize to `final`."""
    return csr_array(bilinear_matrix(kept, final) @ bilinear_matrix(low, middle)[:kept])


def bilinear_matrix(n_in: int, n_out: int) -> csr_array:
    """(n_out, n_in): bilinear interpolation along one axis, ends of the pixels aligned.

    As ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``. Sparse, as it has
    two values a row: a dense product would also wake numpy's own threads beside torch's.
    """
    position = np.maximum((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0)
    first = np.minimum(position.astype(np.intp), n_in - 1)
    second = np.minimum(first + 1, n_in - 1)
    weight = (position - first).astype(np.float32)
    index = np.arange(n_out)
    values = np.concatenate([1 - weight, weight])
    places = np.concatenate([index, index]), np.concatenate([first, second])
    return csr_array(coo_array((values, places), shape=(n_out, n_in)))
