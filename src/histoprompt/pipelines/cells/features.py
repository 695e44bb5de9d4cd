"""What a cell looks like in numbers: its shape, its dyes, its texture."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import expand_labels

from histoprompt.core.labels.shapes import shapes
from histoprompt.core.stain.deconvolution import optical_density
from histoprompt.core.stain.fit import StainMatrix, fit_dyes
from histoprompt.core.stain.ihc import DAB_MEAN
from histoprompt.core.task import Task

# Raise it when the same cell gets other numbers: counts do not go on then.
ALGORITHM = 2
# Width of the ring around a nucleus that stands for its cytoplasm, in microns.
RING_UM = 2.0
# Distance at which texture is compared, in microns.
_TEXTURE_UM = 0.5
_BINS = 32
_MOST_DENSITY = 2.0

SHAPE_NAMES: Final = (
    "mask_um2",
    "perimeter_um",
    "major_um",
    "minor_um",
    "feret_um",
    "eccentricity",
    "solidity",
    "circularity",
)
STAIN_NAMES: Final = (
    "haematoxylin_mean",
    "haematoxylin_std",
    "haematoxylin_ring",
    "eosin_mean",
    "eosin_std",
    "eosin_ring",
    DAB_MEAN,
    "dab_std",
    "dab_ring",
)
TEXTURE_NAMES: Final = (
    "density_mean",
    "density_p10",
    "density_p90",
    "density_entropy",
    "density_contrast",
    "density_grain",
)
FEATURE_NAMES: Final[tuple[str, ...]] = SHAPE_NAMES + STAIN_NAMES + TEXTURE_NAMES
_AREA = FEATURE_NAMES.index("mask_um2")


def measure(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    mpp: float,
    dyes: StainMatrix | None = None,
    task: Task | None = None,
) -> NDArray[np.float32]:
    """Measure every cell of an image.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    labels : (h, w) int32
        0 background, cells from 1.
    mpp : float
        Microns a pixel.
    dyes : StainMatrix, optional
        Of the slide, from `fit_dyes`; fitted to this image if not given, which makes features of
        two tiles differ a little.
    task : Task, optional
        Cancels between shape, dyes and texture.

    Returns
    -------
    (n, k) float32
        Row i is label i + 1, columns are `FEATURE_NAMES`: lengths and areas in microns, dyes in
        optical density, under the mask and in a ring of 2 um around it that holds no other cell.
        NaN in the row of a missing label, and for the ring of a cell that has none.
    """
    dyes, task = dyes or fit_dyes(image), task or Task()
    columns = _shape(labels, mpp)
    task.repeat()
    columns += _stains(image, labels, mpp, dyes)
    task.repeat()
    columns += _texture(image, labels, mpp)
    return np.stack(columns, axis=1).astype(np.float32)


def with_areas(features: NDArray[np.float32], area_um2: NDArray[np.float64]) -> NDArray[np.float32]:
    """Features with the areas that cells have on the slide itself.

    Where a model looks at other pixels than the slide's, those at the edge of the picture reach
    beyond it and are too large by up to half a pixel; what is drawn ends where the picture does.

    Parameters
    ----------
    features : (n, k) float32
        From `measure`, and others behind.
    area_um2 : (n,) float64
    """
    out = features.copy()
    out[:, _AREA] = area_um2
    return out


def _shape(labels: NDArray[np.int32], mpp: float) -> list[NDArray[np.float64]]:
    found = shapes(labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        circularity = np.minimum(4 * np.pi * found.area / found.perimeter**2, 1)
    # An object of a pixel or two has no perimeter to speak of.
    circularity[found.perimeter == 0] = 1
    lengths = [found.perimeter, found.major, found.minor, found.feret]
    scaled = [length * mpp for length in lengths]
    return [found.area * mpp**2, *scaled, found.eccentricity, found.solidity, circularity]


def _stains(
    image: NDArray[np.uint8], labels: NDArray[np.int32], mpp: float, dyes: StainMatrix
) -> list[NDArray[np.float64]]:
    n = int(labels.max(initial=0))
    around = expand_labels(labels, RING_UM / mpp)
    # Most pixels belong to neither a cell nor a ring, and are not unmixed.
    near = around > 0
    inside, index = labels[near] > 0, around[near] - 1
    columns: list[NDArray[np.float64]] = []
    for amount in dyes.amounts(optical_density(image[near])).T:
        mean, std = _mean_and_std(amount[inside], index[inside], n)
        columns += [mean, std, _mean_and_std(amount[~inside], index[~inside], n)[0]]
    return columns


def _texture(
    image: NDArray[np.uint8], labels: NDArray[np.int32], mpp: float
) -> list[NDArray[np.float64]]:
    n = int(labels.max(initial=0))
    plane = optical_density(image) @ np.full(3, 1 / 3, np.float32)
    inside = labels > 0
    index = labels[inside] - 1
    mean, _ = _mean_and_std(plane[inside], index, n)
    grain, _ = _mean_and_std(_unlike_neighbours(plane)[inside], index, n)
    step = max(1, round(_TEXTURE_UM / mpp))
    contrast = np.where(np.isnan(mean), np.nan, _contrast(plane, labels, step, n))
    return [mean, *_histogram(plane[inside], index, n), contrast, grain]


def _mean_and_std(
    values: NDArray[np.float32], index: NDArray[np.int32], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the values of each object; NaN where it has none."""
    count = _counts(index, n)
    mean = np.bincount(index, weights=values, minlength=n) / count
    square = np.bincount(index, weights=(values - mean[index]) ** 2, minlength=n) / count
    return mean, np.sqrt(square)


def _histogram(
    values: NDArray[np.float32], index: NDArray[np.int32], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Tenth and ninetieth percentile, and entropy in bits, from a histogram an object."""
    bins = np.clip(values * (_BINS / _MOST_DENSITY), 0, _BINS - 1).astype(np.intp)
    counts = np.bincount(index.astype(np.intp) * _BINS + bins, minlength=n * _BINS).reshape(
        n, _BINS
    )
    share = counts / _counts(index, n)[:, None]
    below = share.cumsum(axis=1)
    width = _MOST_DENSITY / _BINS
    low, high = (((below < part).sum(axis=1) + 0.5) * width for part in (0.1, 0.9))
    entropy = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
    missing = np.isnan(entropy)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high), entropy


def _contrast(
    plane: NDArray[np.float32], labels: NDArray[np.int32], step: int, n: int
) -> NDArray[np.float64]:
    """Mean squared difference of pixels `step` apart within the same object."""
    total, pairs = np.zeros(n), np.zeros(n)
    for axis in (0, 1):
        a, b = (np.take(labels, where, axis) for where in _shifted(labels.shape[axis], step))
        x, y = (np.take(plane, where, axis) for where in _shifted(labels.shape[axis], step))
        both = (a == b) & (a > 0)
        index = a[both] - 1
        total += np.bincount(index, weights=(x[both] - y[both]) ** 2, minlength=n)
        pairs += np.bincount(index, minlength=n)
    return total / np.maximum(pairs, 1)


def _shifted(length: int, step: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.arange(max(0, length - step)), np.arange(min(step, length), length)


def _unlike_neighbours(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the mean of its four neighbours; of those there are at a rim."""
    around, count = (_neighbours(values) for values in (plane, np.ones_like(plane)))
    return np.abs(plane - around / np.maximum(count, 1)) * (count > 0)


def _neighbours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the values above, below, left and right; nothing lies beyond the image."""
    padded = np.pad(values, 1)
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]


def _counts(index: NDArray[np.integer], n: int) -> NDArray[np.float64]:
    """Pixels of each object; NaN for none, so that what is divided by it is NaN too."""
    count = np.bincount(index, minlength=n).astype(float)
    count[count == 0] = np.nan
    return count
