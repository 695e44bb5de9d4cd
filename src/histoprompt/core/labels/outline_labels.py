"""Labels that are kept as outlines and drawn where they are read.

Of each outline some forty bytes stay in memory, wherever it lies; the corners go to a file without
a name as soon as they are many, and come back for the box that is read. All outlines that meet a
box are drawn at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.labels.corner_file import CornerFile
from histoprompt.core.labels.edges import crossings, ranges
from histoprompt.core.labels.growing import GrowingRows
from histoprompt.core.labels.sources import BLOCK, check_inside, extent
from histoprompt.core.tiling import TileGrid

# Corners, and pixels, that are drawn at once.
_CORNERS, _PIXELS = 1 << 20, 1 << 22
# Rows and columns further out are not told apart from each other: no slide reaches there.
_FAR = 2**31 - 2
# Corners nearer to the first one are kept in half the memory.
_LONG = 2**12
_OUTLINE = np.dtype(
    [("at", "<i8"), ("count", "<i4"), ("wide", "?"), ("anchor", "<i4", 2), ("id", "<u4")]
    + [(name, "<i4") for name in ("r0", "c0", "r1", "c1")]
)
"""Where its corners lie in the file, how many, in which width; its first corner, label and box."""


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
        self._outlines = GrowingRows(_OUTLINE)
        self._corners = CornerFile()
        self._places: set[tuple[int, int]] = set()
        self._order: tuple[NDArray[np.int32], NDArray[np.int32], int] | None = None

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
        anchor = np.floor(np.clip(corners[starts[:-1]], -_FAR, _FAR)).astype(np.int64)
        counts = np.diff(starts)
        near = corners - np.repeat(anchor, counts, axis=0)
        last = np.zeros(len(corners), bool)
        last[rings[1:] - 1] = True
        # halves are exact, and nothing of a nucleus is off by a hundred thousandth of a pixel
        wide = bool(np.abs(near).max() >= _LONG)
        rows = np.zeros(len(polygons), _OUTLINE)
        rows["at"] = self._corners.add(near, last, wide) + starts[:-1] * CornerFile.size(wide)
        rows["count"], rows["wide"], rows["anchor"], rows["id"] = counts, wide, anchor, ids
        boxes = self._boxes(polygons)
        rows["r0"], rows["c0"], rows["r1"], rows["c1"] = boxes.T
        self._outlines.add(rows)
        self._places |= _places(boxes)
        self._order = None

    def read(self, box: Box) -> NDArray[np.uint32]:
        """The (h, w) uint32 labels of a level-0 box."""
        check_inside(self, box)
        out = np.zeros(box.shape, np.uint32)
        found = self._outlines.rows[self._meeting(box)]
        total = np.cumsum(found["count"], dtype=np.int64)
        for some in np.split(
            found, np.searchsorted(total, np.arange(_CORNERS, _last(total), _CORNERS))
        ):
            if len(some):
                self._draw(out, some, box)
        return out

    def filled_boxes(self) -> Iterator[Box]:
        """The blocks of a grid that the polygons' boxes meet."""
        whole = extent(self)
        grid = TileGrid(whole, BLOCK, 0, whole)
        return (grid.tile(*place).inner for place in sorted(self._places))

    def ids(self) -> NDArray[np.uint32]:
        """The labels of all polygons, ascending and each once, whether they show or not."""
        return np.unique(self._outlines.rows["id"])

    def alone(self, label: int) -> int:
        """The pixels that an object would have if no other lay on it."""
        found = self._outlines.rows[self._outlines.rows["id"] == label]
        low = [int(found[side].min()) for side in ("r0", "c0")]
        high = [int(found[side].max()) for side in ("r1", "c1")]
        box = Box(*low, *high)
        out = np.zeros(box.shape, np.uint32)
        self._draw(out, found, box)
        return int(np.count_nonzero(out))

    def _meeting(self, box: Box) -> NDArray[np.int32]:
        """The outlines whose boxes meet a box, in the order they were added."""
        rows = self._outlines.rows
        if self._order is None:
            order = np.argsort(rows["r0"], kind="stable").astype(np.int32)
            tops, tallest = rows["r0"][order], int((rows["r1"] - rows["r0"]).max(initial=0))
            self._order = order, tops, tallest
        else:
            order, tops, tallest = self._order
        low, high = np.searchsorted(tops, [round(box.r0) - tallest, round(box.r1)])
        near = np.sort(order[low:high])
        meet = rows["r0"][near] < box.r1
        meet &= rows["r1"][near] > box.r0
        meet &= rows["c0"][near] < box.c1
        meet &= rows["c1"][near] > box.c0
        return near[meet]

    def _boxes(self, polygons: NDArray[Any]) -> NDArray[np.int64]:
        """(n, 4) boxes of the pixels that may be inside, cut to the labels."""
        x0, y0, x1, y1 = np.clip(shapely.bounds(polygons) - 0.5, -_FAR, _FAR).T
        low, high = np.ceil([y0, x0]), np.floor([y1, x1]) + 1
        rows, cols = self.shape
        limit = np.array([[rows], [cols]])
        low = np.clip(low, 0, limit - 1)
        high = np.clip(np.maximum(high, low + 1), 1, limit)
        return np.concatenate([low, high]).T.astype(np.int64)

    def _draw(self, out: NDArray[np.uint32], some: NDArray[np.void], box: Box) -> None:
        """Draw outlines into the labels of a box."""
        near, last = self._corners.read(some["at"], some["count"], some["wide"])
        owner = np.repeat(np.arange(len(some)), some["count"])
        at = np.flatnonzero(~last)  # each ring ends where it began
        owner = owner[at]
        moved = (some["anchor"] - np.array([round(box.r0), round(box.c0)]))[owner]
        begin, end, own = _spans(near[at] + moved, near[at + 1] + moved, owner, box.shape)
        values, lengths = some["id"][own], end - begin
        if _laid(out, begin, end, values):
            return
        flat, total = out.reshape(-1), np.cumsum(lengths)
        cuts = np.searchsorted(total, np.arange(_PIXELS, _last(total), _PIXELS))
        for part in np.split(np.arange(len(begin)), cuts):
            pixels, whose = ranges(begin[part], lengths[part])
            flat[pixels] = values[part][whose]  # of several values for a pixel the last one stays


def _places(boxes: NDArray[np.int64]) -> set[tuple[int, int]]:
    """The blocks of the grid that boxes meet."""
    ranges = np.stack([boxes[:, :2] // BLOCK, (boxes[:, 2:] - 1) // BLOCK], axis=1)
    found: set[tuple[int, int]] = set()
    for (r0, c0), (r1, c1) in np.unique(ranges, axis=0).tolist():
        found.update(product(range(r0, r1 + 1), range(c0, c1 + 1)))
    return found


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
    edge, row, col = crossings(start, end, shape)
    passed = np.sort((owner[edge] * h + row) * (w + 1) + col)
    enter, leave = passed[0::2], passed[1::2]
    some = leave > enter
    line, col = np.divmod(enter[some], w + 1)
    own, row = np.divmod(line, h)
    at = row * w + col
    return at, at + (leave - enter)[some], own
