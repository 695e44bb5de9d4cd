"""Masks to outlines and back, exactly.

The outline of a mask runs along the edges of its pixels, so that it encloses the same area and
gives the same mask again. Points are (row, col) with pixel centres on integers: the corners of
pixel (r, c) lie at r +- 0.5, c +- 0.5.

Pixels that meet only at a corner belong to different outlines, and a ring that would touch itself
at a corner is split there. So every ring is simple, and outlines are valid polygons to programs
that follow the OGC rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.labels import pieces

Ring = NDArray[np.float64]
_BLOCK = 4096

# The two corners of a diagonal: (leaves right, leaves down, its lower right pixel is set).
_FALLING = ((False, False, True), (True, True, True))
_RISING = ((True, False, False), (False, True, False))


@dataclass(frozen=True, eq=False)
class Outline:
    """One connected part of an object.

    Attributes
    ----------
    exterior : (n, 2) float64
        Corners (row, col), clockwise on screen, the first not repeated at the end.
    holes : tuple of (n, 2) float64
        Rings cut out of it.
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()


def outlines(mask: NDArray[np.bool_], origin: tuple[int, int] = (0, 0)) -> list[Outline]:
    """Outlines of an (h, w) mask whose first pixel lies at `origin`."""
    h, w = mask.shape
    box = Box(origin[0], origin[1], origin[0] + h, origin[1] + w)
    return outlines_in(lambda part: mask[part.slices(origin)], box)


def outlines_in(read: Callable[[Box], NDArray[np.bool_]], box: Box) -> list[Outline]:
    """Outlines of a mask that is read by blocks, so that it may be larger than memory.

    Parameters
    ----------
    read : callable
        Gives the (h, w) bool mask of an integer box inside `box`.
    box : Box
        What holds the object.

    Returns
    -------
    list of Outline
        One for each part whose pixels are connected by their edges.
    """
    found = [_corners(_with_apron(read, part, box), part) for part in pieces(box, _BLOCK)]
    # corners on the line between two blocks are found by both
    corners = found[0] if len(found) == 1 else np.unique(np.concatenate(found), axis=0)
    return _assemble(*_trace(corners))


def fill(outlines: Iterable[Outline], box: Box) -> NDArray[np.bool_]:
    """The mask of outlines: true where a pixel's centre lies inside (even-odd rule).

    Parameters
    ----------
    outlines : iterable of Outline
        Any polygons, level-0 pixels; what reaches outside `box` is cut.
    box : Box
        Integer box the result covers.

    Returns
    -------
    (h, w) bool
    """
    rings = [ring for o in outlines for ring in (o.exterior, *o.holes)]
    if not rings:
        return np.zeros(box.shape, bool)
    start = np.concatenate(rings) - (box.r0, box.c0)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]) - (box.r0, box.c0)
    return _even_odd(start, end, box.shape)


def bounds(outlines: Iterable[Outline]) -> Box:
    """The integer box of the pixels whose centres outlines may enclose, at least one pixel."""
    points = np.concatenate([o.exterior for o in outlines])
    low, high = np.ceil(points.min(axis=0)), np.floor(points.max(axis=0)) + 1
    high = np.maximum(high, low + 1)
    return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def _even_odd(start: Ring, end: Ring, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres have an odd number of edges to their left."""
    h, w = shape
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    first = np.clip(np.ceil(low), 0, h).astype(np.int64)
    counts = np.clip(np.ceil(high), 0, h).astype(np.int64) - first  # rows each edge passes
    edge = np.repeat(np.arange(len(start)), counts)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    (r0, c0), (r1, c1) = start[edge].T, end[edge].T
    col = np.clip(np.ceil(c0 + (row - r0) * (c1 - c0) / (r1 - r0)), 0, w).astype(np.int64)
    passed = np.bincount(row * (w + 1) + col, minlength=h * (w + 1)).reshape(h, w + 1)
    return (np.cumsum(passed[:, :w], axis=1) & 1).astype(bool)


def _with_apron(
    read: Callable[[Box], NDArray[np.bool_]], part: Box, whole: Box
) -> NDArray[np.bool_]:
    """A block and one pixel around it; false outside the whole."""
    around = part.pad(1)
    out = np.zeros(around.shape, bool)
    inside = around.intersection(whole)
    if inside is not None:
        out[inside.slices((round(around.r0), round(around.c0)))] = read(inside)
    return out


def _corners(padded: NDArray[np.bool_], part: Box) -> NDArray[np.int64]:
    """Where the boundary of a mask turns.

    Returns
    -------
    (n, 5) int64
        Row and column of the pixel to the lower right; whether the horizontal edge leaves to the
        right (else left); whether the vertical edge leaves downwards (else up); whether that pixel
        is in the mask. A corner at which two pixels meet diagonally appears twice, once for each.
    """
    nw, ne = padded[:-1, :-1], padded[:-1, 1:]
    sw, se = padded[1:, :-1], padded[1:, 1:]
    odd = nw ^ ne ^ sw ^ se
    falling = nw & se & ~ne & ~sw
    rising = ne & sw & ~nw & ~se
    # of the two horizontal edges that could meet here one exists: the one whose sides differ
    found = [_rows(odd, ne ^ se, sw ^ se, se)]
    if falling.any():
        found += [_rows(falling, *(np.full_like(odd, v) for v in flags)) for flags in _FALLING]
    if rising.any():
        found += [_rows(rising, *(np.full_like(odd, v) for v in flags)) for flags in _RISING]
    corners = np.concatenate(found)
    corners[:, 0] += round(part.r0)
    corners[:, 1] += round(part.c0)
    return corners


def _rows(where: NDArray[np.bool_], *flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    r, c = np.nonzero(where)
    return np.stack([r, c, *(flag[r, c] for flag in flags)], axis=1).astype(np.int64)


def _trace(corners: NDArray[np.int64]) -> tuple[list[Ring], list[Ring]]:
    """Link corners into rings: exteriors and holes, in the order their first pixel is read."""
    if not len(corners):
        return [], []
    r, c, right, down, inside = corners.T
    across, along = _mates(r, c, right), _mates(c, r, down)
    points = (corners[:, :2] - 0.5).tolist()
    exteriors: list[Ring] = []
    holes: list[Ring] = []
    seen = bytearray(len(corners))
    for start in np.lexsort((c, r)).tolist():
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            turn = across[at]
            seen[at] = seen[turn] = 1
            ring += [at, turn]
            at = along[turn]
        _sort_rings([tuple(points[i]) for i in ring], bool(inside[start]), exteriors, holes)
    return exteriors, holes


def _mates(
    line: NDArray[np.int64], position: NDArray[np.int64], leaves_forward: NDArray[np.int64]
) -> list[int]:
    """The other end of each corner's edge along a line; ends alternate along every line."""
    order = np.lexsort((leaves_forward, position, line))
    mates = np.empty(len(order), np.int64)
    mates[order[0::2]], mates[order[1::2]] = order[1::2], order[0::2]
    return mates.tolist()


def _sort_rings(
    ring: list[tuple[float, float]], solid: bool, exteriors: list[Ring], holes: list[Ring]
) -> None:
    """Split a ring where it touches itself, and tell exteriors from holes."""
    for loop in _simple_loops(ring):
        points = np.array(loop)
        if solid and _clockwise(points):
            exteriors.append(points)
        else:
            holes.append(points)


def _simple_loops(ring: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    loops = []
    path: list[tuple[float, float]] = []
    place: dict[tuple[float, float], int] = {}
    for point in ring:
        if point in place:
            cut = place[point]
            loops.append(path[cut:])
            for gone in path[cut + 1 :]:
                del place[gone]
            del path[cut + 1 :]
        else:
            place[point] = len(path)
            path.append(point)
    return [*loops, path]


def _clockwise(points: Ring) -> bool:
    """Whether a ring runs clockwise on screen, rows downwards."""
    (r, c), (r2, c2) = points.T, np.roll(points, -1, axis=0).T
    return bool(np.sum(c * r2 - c2 * r) > 0)


def _assemble(exteriors: list[Ring], holes: list[Ring]) -> list[Outline]:
    """Give every hole to the exterior around it."""
    owned: list[list[Ring]] = [[] for _ in exteriors]
    for hole, owner in zip(holes, _owners(exteriors, holes), strict=True):
        owned[owner].append(hole)
    return [Outline(e, tuple(h)) for e, h in zip(exteriors, owned, strict=True)]


def _owners(exteriors: list[Ring], holes: list[Ring]) -> list[int]:
    """Which exterior each hole lies in: the smallest that holds the pixel above its first one."""
    if len(exteriors) == 1 or not holes:
        return [0] * len(holes)
    above = [h[np.lexsort((h[:, 1], h[:, 0]))[0]] + (-0.5, 0.5) for h in holes]
    shapes = np.array([shapely.Polygon(e) for e in exteriors])
    hole, exterior = shapely.STRtree(shapes).query(shapely.points(above), predicate="within")
    areas = shapely.area(shapes)[exterior]
    order = np.lexsort((-areas, hole))  # the smallest comes last and stays
    owners = [0] * len(holes)
    for h, e in zip(hole[order].tolist(), exterior[order].tolist(), strict=True):
        owners[h] = e
    return owners
