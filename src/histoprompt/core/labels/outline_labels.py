"""Labels that are kept as outlines and drawn where they are read.

A hundred thousand nuclei take the memory of their corners, wherever they lie; all outlines that
meet a box are drawn at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.labels.sources import BLOCK, check_inside, extent
from histoprompt.core.tiling import TileGrid

# Corners, and pixels, that are drawn at once.
_CORNERS, _PIXELS = 1 << 20, 1 << 22
# Rows and columns further out are not told apart from each other: no slide reaches there.
_FAR = 2**31 - 2
# Corners nearer to the first one are kept in half the memory.
_LONG = 2**12


class OutlineLabels:
    """Labels of polygons; a pixel is inside if its centre is, and later ones lie on top.

    Parameters
    ----------
    shape : (rows, cols)
        Of the labels; what reaches outside is cut.
    """

    origin = (0, 0)

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._added: list[tuple[NDArray[Any], ...]] = []
        self._parts: tuple[NDArray[Any], ...] | None = None

    def add(self, polygons: NDArray[Any], ids: NDArray[np.uint32]) -> None:
        """Put polygons on top of the others.

        Parameters
        ----------
        polygons : (n,) of shapely.Polygon
            (x, y), the corner of the first pixel at (0, 0); valid, none empty.
        ids : (n,) uint32
            The label of each; polygons with the same one are parts of an object.
        """
        if not len(polygons):
            return
        _, xy, (rings, first) = shapely.to_ragged_array(polygons)
        corners = xy[:, 1::-1] - 0.5
        starts = rings[first]
        boxes = self._boxes(polygons)
        anchor = np.floor(np.clip(corners[starts[:-1]], -_FAR, _FAR)).astype(np.int64)
        counts = np.diff(starts)
        near = corners - np.repeat(anchor, counts, axis=0)
        if np.abs(near).max() < _LONG:
            # halves are exact, and nothing of a nucleus is off by a hundred thousandth of a pixel
            near = near.astype(np.float32)
        last = np.zeros(len(corners), bool)
        last[rings[1:] - 1] = True
        self._added.append((near, last, counts, anchor, boxes, np.asarray(ids, np.uint32)))
        self._parts = None

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box."""
        check_inside(self, box)
        out = np.zeros(box.shape, np.uint32)
        boxes = self._joined[4]
        r0, c0, r1, c1 = boxes.T
        meet = (r0 < box.r1) & (r1 > box.r0) & (c0 < box.c1) & (c1 > box.c0)
        which = np.flatnonzero(meet)
        total = np.cumsum(self._joined[2][which])
        for some in np.split(
            which, np.searchsorted(total, np.arange(_CORNERS, _last(total), _CORNERS))
        ):
            if len(some):
                self._draw(out, some, box)
        return out

    def filled_boxes(self) -> Iterator[Box]:
        """The blocks of a grid that the polygons' boxes meet."""
        boxes = self._joined[4]
        ranges = np.stack([boxes[:, :2] // BLOCK, (boxes[:, 2:] - 1) // BLOCK], axis=1)
        places: set[tuple[int, int]] = set()
        for (r0, c0), (r1, c1) in np.unique(ranges, axis=0).tolist():
            places |= {(r, c) for r in range(r0, r1 + 1) for c in range(c0, c1 + 1)}
        whole = extent(self)
        grid = TileGrid(whole, BLOCK, 0, whole)
        return (grid.tile(*place).inner for place in sorted(places))

    def ids(self) -> NDArray[np.uint32]:
        """The labels of all polygons, ascending and each once, whether they show or not."""
        return np.unique(self._joined[5])

    def alone(self, label: int) -> int:
        """The pixels that an object would have if no other lay on it."""
        _, _, _, _, boxes, ids = self._joined
        which = np.flatnonzero(ids == label)
        low, high = boxes[which, :2].min(axis=0), boxes[which, 2:].max(axis=0)
        box = Box(*low.tolist(), *high.tolist())
        out = np.zeros(box.shape, np.uint32)
        self._draw(out, which, box)
        return int(np.count_nonzero(out))

    @property
    def _joined(self) -> tuple[NDArray[Any], ...]:
        if self._parts is None:
            joined = tuple(map(np.concatenate, zip(*(self._added or [_nothing()]), strict=True)))
            self._added = [joined]
            starts = np.cumsum(joined[2]) - joined[2]
            self._parts = (*joined, starts)
        return self._parts[:6]

    def _boxes(self, polygons: NDArray[Any]) -> NDArray[np.int64]:
        """(n, 4) boxes of the pixels that may be inside, cut to the labels."""
        x0, y0, x1, y1 = np.clip(shapely.bounds(polygons) - 0.5, -_FAR, _FAR).T
        low, high = np.ceil([y0, x0]), np.floor([y1, x1]) + 1
        rows, cols = self.shape
        limit = np.array([[rows], [cols]])
        low = np.clip(low, 0, limit - 1)
        high = np.clip(np.maximum(high, low + 1), 1, limit)
        return np.concatenate([low, high]).T.astype(np.int64)

    def _draw(self, out: NDArray[np.uint32], which: NDArray[np.intp], box: Box) -> None:
        """Draw polygons into the labels of a box."""
        assert self._parts is not None
        near, last, counts, anchor, _, ids, starts = self._parts
        at, owner = _ranges(starts[which], counts[which])
        edges = ~last[at]
        at, owner = at[edges], owner[edges]
        moved = (anchor[which] - (round(box.r0), round(box.c0)))[owner]
        begin, end, own = _spans(near[at] + moved, near[at + 1] + moved, owner, box.shape)
        values, lengths = ids[which][own], end - begin
        if _laid(out, begin, end, values):
            return
        flat, total = out.reshape(-1), np.cumsum(lengths)
        cuts = np.searchsorted(total, np.arange(_PIXELS, _last(total), _PIXELS))
        for some in np.split(np.arange(len(begin)), cuts):
            pixels, whose = _ranges(begin[some], lengths[some])
            flat[pixels] = values[some][whose]  # of several values for a pixel the last one stays


def _laid(
    out: NDArray[np.uint32],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    values: NDArray[np.uint32],
) -> bool:
    """Write runs that do not overlap into labels without any, all in one pass; whether they did."""
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], end[order]
    if not len(begin) or (begin[1:] < end[:-1]).any() or out.any():
        return False
    edges = np.empty(2 * len(begin) + 2, np.int64)
    edges[0], edges[1:-1:2], edges[2:-1:2], edges[-1] = 0, begin, end, out.size
    runs = np.zeros(len(edges) - 1, np.uint32)
    runs[1::2] = values[order]
    out.reshape(-1)[:] = np.repeat(runs, np.diff(edges))
    return True


def _last(total: NDArray[Any]) -> int:
    return int(total[-1]) if len(total) else 0


def _nothing() -> tuple[NDArray[Any], ...]:
    near, last, counts = np.zeros((0, 2), np.float32), np.zeros(0, bool), np.zeros(0, np.int64)
    return (
        near,
        last,
        counts,
        np.zeros((0, 2), np.int64),
        np.zeros((0, 4), np.int64),
        np.zeros(0, np.uint32),
    )


def _ranges(
    starts: NDArray[Any], counts: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The numbers of ranges one after the other, and which range each belongs to."""
    owner = np.repeat(np.arange(len(counts)), counts)
    shift = starts - (np.cumsum(counts) - counts)
    return np.arange(len(owner)) + np.repeat(shift, counts), owner


def _spans(
    start: NDArray[Any], end: NDArray[Any], owner: NDArray[np.intp], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs of pixels whose centres lie inside (even-odd rule).

    Parameters
    ----------
    start, end : (n, 2) float64
        Of edges, (row, col) from the box's first pixel.
    owner : (n,) int
        Which polygon each belongs to.
    shape : (h, w)
        Of the box.

    Returns
    -------
    first, stop : (m,) int64
        Into the flattened box; half open.
    owner : (m,) int64
        Ascending.
    """
    h, w = shape
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    first = np.clip(np.ceil(low), 0, h).astype(np.int64)
    counts = np.clip(np.ceil(high), 0, h).astype(np.int64) - first  # rows each edge passes
    row, edge = _ranges(first, counts)
    (r0, c0), (r1, c1) = start[edge].T, end[edge].T
    col = np.clip(np.ceil(c0 + (row - r0) * (c1 - c0) / (r1 - r0)), 0, w).astype(np.int64)
    crossings = np.sort((owner[edge] * h + row) * (w + 1) + col)
    enter, leave = crossings[0::2], crossings[1::2]
    some = leave > enter
    line, col = np.divmod(enter[some], w + 1)
    own, row = np.divmod(line, h)
    at = row * w + col
    return at, at + (leave - enter)[some], own
