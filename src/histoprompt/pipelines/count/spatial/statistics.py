"""How cells lie to each other: neighbours, distances, Ripley's cross-K, density.

All work on centres in µm, (n, 2) as (row, col). Cells of two classes lie together, or apart, more
than by chance if their K is outside of what the same places give with classes dealt out anew
(random labelling). That asks nothing of the tissue's shape.

References: Ripley (1977); translation correction of Ohser and Stoyan (1981). Neighbours within a
radius and distances to the nearest are those of squidpy (Palla and others, 2022). Its Ripley's L is
of each class by itself, over the density of all cells within their convex hull, and corrects no
edges; K here is of two classes, over the density of the second, in the window where cells lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal
from scipy.spatial import KDTree

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]

# Of the window in which cells lie, and how far around a cell there is tissue, in µm.
_PIXEL, _AROUND = 20.0, 60.0
# Of tissue beyond the outermost cells, µm.
_OWN = 20.0
# Pairs beyond this many are looked at in a random part of the cells.
_MOST_PAIRS = 4_000_000


def neighbours(points: Floats, codes: Codes, classes: int, radius: float) -> NDArray[np.int64]:
    """How many cells of each class lie within a radius of each cell, itself left out.

    Parameters
    ----------
    points : (n, 2) float64
        µm.
    codes : (n,) int
        Of classes, from 0.
    classes : int
    radius : float
        µm; a cell exactly as far is within.

    Returns
    -------
    (n, classes) int64
    """
    out = np.zeros((len(points), classes), np.int64)
    tree = KDTree(points) if len(points) else None
    for code in range(classes):
        of = points[codes == code]
        if tree is None or not len(of):
            continue
        out[:, code] = KDTree(of).query_ball_point(points, radius, return_length=True)
    out[np.arange(len(points)), codes] -= 1
    return out


def nearest(points: Floats, codes: Codes, classes: int) -> Floats:
    """How far the nearest other cell of each class is from each cell.

    Parameters
    ----------
    points : (n, 2) float64
        µm.
    codes : (n,) int
    classes : int

    Returns
    -------
    (n, classes) float64
        µm; nan where there is no other cell of the class.
    """
    out = np.full((len(points), classes), np.nan)
    for code in range(classes):
        here = codes == code
        if not here.any():
            continue
        tree = KDTree(points[here])
        out[~here, code] = np.asarray(tree.query(points[~here])[0])
        if here.sum() > 1:
            out[here, code] = np.asarray(tree.query(points[here], k=2)[0])[:, 1]
    return out


@dataclass(frozen=True)
class Window:
    """Where cells can lie: a mask of squares.

    Attributes
    ----------
    mask : (h, w) bool
    origin : (float, float)
        µm (row, col) of the corner of the first square.
    pixel : float
        Side of a square, µm.
    """

    mask: NDArray[np.bool_]
    origin: tuple[float, float]
    pixel: float

    @property
    def area(self) -> float:
        """µm²."""
        return float(self.mask.sum()) * self.pixel**2


def box_window(r0: float, c0: float, r1: float, c1: float, pixel: float = _PIXEL) -> Window:
    """The window of a rectangle, µm; its sides are cut into whole squares."""
    rows, cols = max(1, round((r1 - r0) / pixel)), max(1, round((c1 - c0) / pixel))
    return Window(np.ones((rows, cols), bool), (r0, c0), pixel)


def window_of(points: Floats, around: float = _AROUND, pixel: float = _PIXEL) -> Window:
    """The window of cells themselves: what lies near a cell, with small holes filled."""
    edge = 2 * around
    origin = points.min(axis=0) - edge
    shape = np.ceil((points.max(axis=0) + edge - origin) / pixel).astype(int)
    seeds = np.zeros(shape, bool)
    at = ((points - origin) / pixel).astype(int)
    seeds[at[:, 0], at[:, 1]] = True
    mask = ndimage.distance_transform_edt(~seeds) * pixel <= around
    # gaps between cells are filled, and the outline is drawn back to the outermost cells
    mask = ndimage.distance_transform_edt(mask) * pixel > around - _OWN
    return Window(np.asarray(mask, bool), (float(origin[0]), float(origin[1])), pixel)


def overlap(window: Window, shifts: Floats) -> Floats:
    """The area that a window shares with itself moved, µm².

    Parameters
    ----------
    window : Window
    shifts : (k, 2) float64
        µm.

    Returns
    -------
    (k,) float64
        At least one square.
    """
    mask = window.mask.astype(np.float64)
    table = signal.fftconvolve(mask, mask[::-1, ::-1]) * window.pixel**2
    middle = np.array(mask.shape) - 1
    at = (np.asarray(shifts) / window.pixel + middle).T
    found = ndimage.map_coordinates(table, at, order=1, mode="constant")
    return np.asarray(np.maximum(found, window.pixel**2))


@dataclass(frozen=True)
class CrossK:
    """Ripley's cross-K of two classes.

    Attributes
    ----------
    radii : (k,) float64
        µm.
    k : (k,) float64
        µm²; under independence in a homogeneous window, the area of the disc.
    excess : (k,) float64
        ``sqrt(k / pi) - radii``, µm: above 0 together, below 0 apart.
    low, high : (k,) float64
        What 95 of 100 random labellings give for `excess`, at each radius by itself.
    p : float
        Of the largest deviation over all radii, two-sided: one test for the whole curve.
    """

    radii: Floats
    k: Floats
    excess: Floats
    low: Floats
    high: Floats
    p: float


def cross_k(
    points: Floats, codes: Codes, pair: tuple[int, int], radii: Sequence[float], window: Window,
    *, labellings: int = 199, seed: int = 0, pairs: Pairs | None = None,
) -> CrossK | None:  # fmt: skip
    """Ripley's cross-K, with translation correction at edges and an envelope of random labelling.

    Parameters
    ----------
    points : (n, 2) float64
        All cells, µm.
    codes : (n,) int
    pair : (int, int)
        Classes; twice the same one gives the K of the class.
    radii : sequence of float
        µm, rising.
    window : Window
    labellings : int
        0 for K without envelope and p, which are nan then.
    seed : int
    pairs : Pairs, optional
        Of `pairs_within` with the same points, radii and window, where several K are asked for.

    Returns
    -------
    CrossK or None
        None where a class has fewer than two cells.
    """
    codes = np.asarray(codes)
    edges = np.asarray(radii, float)
    pairs = pairs or pairs_within(points, edges, window, seed)
    return cross_ks(codes, [pair], pairs, labellings, seed).get(pair)


def cross_ks(
    codes: Codes, asked: Sequence[tuple[int, int]], pairs: Pairs, labellings: int, seed: int = 0
) -> dict[tuple[int, int], CrossK]:
    """`cross_k` of several pairs of classes: one labelling serves all.

    Parameters
    ----------
    codes : (n,) int
    asked : sequence of (int, int)
    pairs : Pairs
        Of `pairs_within`.
    labellings, seed : int

    Returns
    -------
    dict of (int, int) to CrossK
        Without the pairs of which a class has fewer than two cells.
    """
    many = np.bincount(codes, minlength=2)
    told = [p for p in asked if max(p) < len(many) and min(many[p[0]], many[p[1]]) > 1]
    if not told:
        return {}
    if (many > 0).sum() < 2:  # all labels are the same, however they are dealt out
        labellings = 0
    one, other = (np.array(side) for side in zip(*told, strict=True))
    rng = np.random.default_rng(seed)
    edges, seen = pairs.edges, _tables(codes, pairs)[:, one, other]
    drawn = [_tables(rng.permutation(codes), pairs)[:, one, other] for _ in range(labellings)]
    curves = np.sqrt(np.array([seen, *drawn]) / np.pi) - edges[:, None]
    found = {}
    for at, pair in enumerate(told):
        excess, null = curves[0, :, at], curves[1:, :, at]
        low = high = np.full(len(edges), np.nan)
        if labellings:
            low, high = np.quantile(null, [0.025, 0.975], axis=0)
        p = _p_of_curves(excess, null) if labellings else float("nan")
        found[pair] = CrossK(edges, seen[:, at], excess, low, high, p)
    return found


@dataclass(frozen=True)
class Pairs:
    """Pairs of cells: both, the first of the radii they are within, and their weight.

    Attributes
    ----------
    one, other, ring : (k,) int
    weight : (k,) float64
    edges : (r,) float64
        The radii, µm.
    area : float
        Of the window, µm².
    """

    one: NDArray[np.intp]
    other: NDArray[np.intp]
    ring: NDArray[np.intp]
    weight: Floats
    edges: Floats
    area: float


def pairs_within(points: Floats, edges: Floats, window: Window, seed: int) -> Pairs:
    """All pairs within the largest radius; of very many, those of a random part of the cells."""
    tree = KDTree(points)
    many = int(tree.count_neighbors(tree, float(edges[-1])))
    kept = np.arange(len(points))
    if many > _MOST_PAIRS:
        share = np.sqrt(_MOST_PAIRS / many)
        rng = np.random.default_rng(seed)
        kept = np.sort(rng.choice(len(points), int(len(points) * share), replace=False))
        tree = KDTree(points[kept])
    pairs = tree.query_pairs(float(edges[-1]), output_type="ndarray")
    i, j = kept[pairs[:, 0]], kept[pairs[:, 1]]
    shifts = points[i] - points[j]
    ring = np.searchsorted(edges, np.linalg.norm(shifts, axis=1), side="left")
    # of a part of the cells, as many pairs as there would be of all
    scale = (len(points) / len(kept)) ** 2
    return Pairs(i, j, ring, scale / overlap(window, shifts), edges, window.area)


def _tables(codes: Codes, pairs: Pairs) -> Floats:
    """K at each radius for each two classes (radii, classes, classes): both orders of each pair."""
    many = np.bincount(codes, minlength=2)
    c, radii = len(many), len(pairs.edges)
    cell = (pairs.ring * c + codes[pairs.one]) * c + codes[pairs.other]
    sums = np.bincount(cell, pairs.weight, minlength=(radii + 1) * c * c)
    sums = sums[: radii * c * c].reshape(radii, c, c)
    ordered = np.outer(many, many) - np.diag(many)
    both = np.cumsum(sums + sums.transpose(0, 2, 1), axis=0)
    return np.asarray(both * pairs.area**2 / np.maximum(ordered, 1))


def _p_of_curves(seen: Floats, drawn: Floats) -> float:
    """The test of the largest deviation, in units of what labelling does at each radius."""
    every = np.vstack([seen, drawn])
    middle, spread = every.mean(axis=0), every.std(axis=0)
    far = (np.abs(every - middle) / np.where(spread > 0, spread, 1.0)).max(axis=1)
    return float((far >= far[0] - 1e-12).sum() / len(far))


def density_map(points: Floats, window: Window, bandwidth: float = 100.0) -> NDArray[np.float32]:
    """Cells per mm² over a window, by a Gaussian kernel corrected at edges.

    Parameters
    ----------
    points : (n, 2) float64
        µm.
    window : Window
    bandwidth : float
        Standard deviation of the kernel, µm.

    Returns
    -------
    (h, w) float32
        nan outside of the window.
    """
    counts = np.zeros(window.mask.shape)
    at = np.floor((points - np.array(window.origin)) / window.pixel).astype(int)
    inside = ((at >= 0) & (at < np.array(counts.shape))).all(axis=1)
    np.add.at(counts, tuple(at[inside].T), 1)
    sigma = bandwidth / window.pixel
    smooth = ndimage.gaussian_filter(counts, sigma, mode="constant")
    share = ndimage.gaussian_filter(window.mask.astype(float), sigma, mode="constant")
    mm2 = window.pixel**2 / 1e6
    found = np.where(window.mask, smooth / np.maximum(share, 1e-6) / mm2, np.nan)
    return np.asarray(found, np.float32)
