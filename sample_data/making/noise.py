"""Smooth random fields: the one source of irregularity in the made slide.

Everything is computed in float64, so that differences in the last bit between processors disappear
when the image is rounded to 8 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Field = NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    """Noise of zero mean and unit variance whose blobs are about `scale` pixels wide.

    Made on a coarse grid of about four points per blob and enlarged, so wide blobs are cheap.
    """
    step = max(1.0, scale / 4)
    rows, cols = (int(np.ceil(n / step)) + 4 for n in shape)
    coarse = gaussian_filter(rng.standard_normal((rows, cols)), scale / step / 2, mode="wrap")
    coarse = (coarse - coarse.mean()) / coarse.std()
    if step == 1.0:
        return coarse[: shape[0], : shape[1]]
    return enlarged(coarse, step, shape)


def enlarged(coarse: Field, step: float, shape: tuple[int, int]) -> Field:
    """Linear interpolation of a field known on every `step`-th pixel; its last values go on."""
    return _enlarged_rows(_enlarged_rows(coarse.T, step, shape[1]).T, step, shape[0])


def _enlarged_rows(field: Field, step: float, count: int) -> Field:
    place = np.minimum(np.arange(count) / step, len(field) - 1)
    above = np.minimum(place.astype(int), len(field) - 2)
    share = (place - above)[:, None]
    out = field[above] * (1 - share)
    out += field[above + 1] * share
    return np.ascontiguousarray(out)


def octaves(rng: np.random.Generator, shape: tuple[int, int], scales: list[float]) -> Field:
    """Noise at several scales, each finer one weaker, with unit variance."""
    total = sum(smooth_noise(rng, shape, s) * (s / scales[0]) ** 0.5 for s in scales)
    return np.asarray(total) / np.std(total)


def textured(rng: np.random.Generator, across: Field, along: Field, size: int = 1024) -> Field:
    """Look up repeating noise at given coordinates: how straight noise becomes bent fibres.

    Parameters
    ----------
    across, along : (h, w) float64
        Coordinates in pixels of the noise, which repeats after `size`.
    """
    noise = gaussian_filter(rng.standard_normal((size, size)), 1.2, mode="wrap")
    noise /= noise.std()
    return map_coordinates(noise, [across, along], order=1, mode="grid-wrap")


def scattered(
    rng: np.random.Generator, allowed: NDArray[np.bool_], spacing: float, tries: int
) -> Field:
    """(n, 2) random places (row, col) inside a mask, none nearer to another than `spacing`."""
    places = np.argwhere(allowed)
    picked = places[rng.integers(0, len(places), tries)] + rng.uniform(-0.5, 0.5, (tries, 2))
    cells: dict[tuple[int, int], Field] = {}
    side = spacing / np.sqrt(2)
    for place in picked:
        i, j = (int(v) for v in place // side)
        near = (cells.get((i + a, j + b)) for a in range(-2, 3) for b in range(-2, 3))
        if all(p is None or np.hypot(*(p - place)) >= spacing for p in near):
            cells[(i, j)] = place
    return np.array(list(cells.values())).reshape(-1, 2)
