"""Boxes and frames: where things lie on a slide.

The one convention of the project: **(row, col), level-0 pixels, half-open boxes, pixel centres on
integers**. The pixel (r, c) covers [r - 0.5, r + 0.5); a box [r0, r1) of integers holds the pixels
r0 ... r1 - 1 and so covers the interval [r0 - 0.5, r1 - 0.5) of the plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histoprompt.core.errors import RegionError


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A half-open rectangle [r0, r1) x [c0, c1) in level-0 pixels.

    A box that selects pixels has integer sides (`to_pixels`); a box somebody drew, or one mapped
    into a coarser array, may have fractional ones.

    Raises
    ------
    RegionError
        If the box is empty, inverted or not finite.
    """

    r0: float
    c0: float
    r1: float
    c1: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self):
            raise RegionError(f"Box {tuple(self)} is not finite.")
        if self.r1 <= self.r0 or self.c1 <= self.c0:
            raise RegionError(
                f"Box {tuple(self)} is empty: it must be (row0, col0, row1, col1) "
                "with row1 > row0 and col1 > col0."
            )

    def __iter__(self) -> Iterator[float]:
        return iter((self.r0, self.c0, self.r1, self.c1))

    @classmethod
    def of_shape(cls, shape: Sequence[int]) -> Box:
        """The whole of an array of this shape, (H, W, ...)."""
        return cls(0, 0, shape[0], shape[1])

    @classmethod
    def around(cls, row: float, col: float, height: float, width: float | None = None) -> Box:
        """A box of this size whose centre pixel is (row, col)."""
        width = height if width is None else width
        r0, c0 = row + 0.5 - height / 2, col + 0.5 - width / 2
        return cls(r0, c0, r0 + height, c0 + width)

    @classmethod
    def of_points(cls, points: ArrayLike) -> Box:
        """The smallest box holding the pixels of (n, 2) points; integer points give integers."""
        pts = np.asarray(points, dtype=float).reshape(-1, 2)
        (r0, c0), (r1, c1) = pts.min(axis=0), pts.max(axis=0) + 1
        return cls(float(r0), float(c0), float(r1), float(c1))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Box | None:
        """The bounding box of the true pixels of an (H, W) mask, or None if there is none."""
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size == 0:
            return None
        cols = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
        return cls(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)

    @property
    def height(self) -> float:
        """Rows covered."""
        return self.r1 - self.r0

    @property
    def width(self) -> float:
        """Columns covered."""
        return self.c1 - self.c0

    @property
    def area(self) -> float:
        """Pixels covered."""
        return self.height * self.width

    @property
    def centre(self) -> tuple[float, float]:
        """The (row, col) of the middle, pixel centres on integers."""
        return (self.r0 + self.r1 - 1) / 2, (self.c0 + self.c1 - 1) / 2

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) as integers; exact for a box of pixels."""
        return round(self.height), round(self.width)

    def to_pixels(self) -> Box:
        """The smallest integer box that holds this one."""
        return Box(
            math.floor(self.r0 + 1e-9),
            math.floor(self.c0 + 1e-9),
            math.ceil(self.r1 - 1e-9),
            math.ceil(self.c1 - 1e-9),
        )

    def slices(self, origin: tuple[float, float] = (0, 0)) -> tuple[slice, slice]:
        """Index of this box in an array whose first pixel lies at `origin` (row, col)."""
        r, c = round(origin[0]), round(origin[1])
        return (
            slice(round(self.r0) - r, round(self.r1) - r),
            slice(round(self.c0) - c, round(self.c1) - c),
        )

    def contains(self, row: float, col: float) -> bool:
        """Whether the point falls into the box; of touching boxes exactly one contains it."""
        return self.r0 - 0.5 <= row < self.r1 - 0.5 and self.c0 - 0.5 <= col < self.c1 - 0.5

    def covers(self, other: Box) -> bool:
        """Whether the other box lies wholly inside this one."""
        return (
            self.r0 <= other.r0
            and self.c0 <= other.c0
            and other.r1 <= self.r1
            and other.c1 <= self.c1
        )

    def intersection(self, other: Box) -> Box | None:
        """The common part, or None if they do not overlap."""
        r0, c0 = max(self.r0, other.r0), max(self.c0, other.c0)
        r1, c1 = min(self.r1, other.r1), min(self.c1, other.c1)
        return Box(r0, c0, r1, c1) if r0 < r1 and c0 < c1 else None

    def union(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(
            min(self.r0, other.r0),
            min(self.c0, other.c0),
            max(self.r1, other.r1),
            max(self.c1, other.c1),
        )

    def pad(self, margin: float) -> Box:
        """The box grown by `margin` pixels on each side (shrunk if negative)."""
        return Box(self.r0 - margin, self.c0 - margin, self.r1 + margin, self.c1 + margin)

    def shift(self, rows: float, cols: float) -> Box:
        """The box moved by this much."""
        return Box(self.r0 + rows, self.c0 + cols, self.r1 + rows, self.c1 + cols)

    def shift_inside(self, outer: Box) -> Box:
        """The box moved, and if it must be shrunk, so that it lies inside `outer`."""
        h, w = min(self.height, outer.height), min(self.width, outer.width)
        r0 = min(max(self.r0, outer.r0), outer.r1 - h)
        c0 = min(max(self.c0, outer.c0), outer.c1 - w)
        return Box(r0, c0, r0 + h, c0 + w)


def union_of(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of at least one box."""
    items = list(boxes)
    return Box(
        min(b.r0 for b in items),
        min(b.c0 for b in items),
        max(b.r1 for b in items),
        max(b.c1 for b in items),
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """Where an array lies on the slide.

    Attributes
    ----------
    box : Box
        The level-0 rectangle the array covers.
    shape : tuple of int
        (rows, cols) of the array, whatever its further axes.
    """

    box: Box
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if self.shape[0] < 1 or self.shape[1] < 1:
            raise RegionError(f"An array of shape {self.shape} has no pixels.")

    @classmethod
    def of_array(cls, array: NDArray[np.generic], origin: tuple[int, int] = (0, 0)) -> Frame:
        """The frame of a level-0 array whose first pixel is at `origin`."""
        h, w = array.shape[:2]
        return cls(Box(origin[0], origin[1], origin[0] + h, origin[1] + w), (h, w))

    @property
    def scale(self) -> tuple[float, float]:
        """Level-0 pixels per array pixel, (rows, cols)."""
        return self.box.height / self.shape[0], self.box.width / self.shape[1]

    @property
    def origin(self) -> tuple[float, float]:
        """Level-0 position of the centre of the array's pixel (0, 0)."""
        sr, sc = self.scale
        return self.box.r0 - 0.5 + sr / 2, self.box.c0 - 0.5 + sc / 2

    def to_slide(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map (n, 2) array positions to level-0 positions."""
        return np.asarray(points, dtype=float).reshape(-1, 2) * self.scale + self.origin

    def to_array(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map (n, 2) level-0 positions to array positions."""
        return (np.asarray(points, dtype=float).reshape(-1, 2) - self.origin) / self.scale

    def box_to_array(self, box: Box) -> Box:
        """Map a level-0 box to the box of array pixels it covers (fractional sides)."""
        (sr, sc), b = self.scale, self.box
        return Box(
            (box.r0 - b.r0) / sr, (box.c0 - b.c0) / sc, (box.r1 - b.r0) / sr, (box.c1 - b.c0) / sc
        )

    def box_to_slide(self, box: Box) -> Box:
        """Map a box of array pixels to level 0."""
        (sr, sc), b = self.scale, self.box
        return Box(b.r0 + box.r0 * sr, b.c0 + box.c0 * sc, b.r0 + box.r1 * sr, b.c0 + box.c1 * sc)
