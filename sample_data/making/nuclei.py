"""Nuclei of a few kinds: where they lie, how they look, and their ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from making.layout import GLANDS, REGIONS, SHAPE, VESSELS, Layout, Ring
from making.noise import Field, scattered
from making.tissue import Canvas


@dataclass(frozen=True)
class Kind:
    """How the nuclei of a class look.

    Attributes
    ----------
    name : str
    length, width : (low, high)
        Half axes in pixels.
    stain : (low, high)
        Amount of haematoxylin.
    clumps, rim : float
        Contrast of the chromatin's texture, and extra stain along the membrane.
    rough : float
        How far the outline strays from an ellipse.
    nucleoli : int
        At most so many.
    """

    name: str
    length: tuple[float, float]
    width: tuple[float, float]
    stain: tuple[float, float]
    clumps: float
    rim: float
    rough: float
    nucleoli: int = 0


TUMOUR = Kind("tumour", (17, 30), (14, 23), (0.36, 0.66), 0.34, 0.26, 0.09, 3)
MITOSIS = Kind("mitosis", (17, 22), (6, 9), (1.20, 1.40), 0.10, 0.0, 0.25)
LYMPHOCYTE = Kind("lymphocyte", (11.5, 14.5), (10.5, 13), (0.80, 1.05), 0.26, 0.10, 0.05)
FIBROBLAST = Kind("fibroblast", (18, 38), (4.5, 9), (0.55, 0.95), 0.24, 0.10, 0.10)
EPITHELIAL = Kind("epithelial", (17, 23), (10, 14), (0.50, 0.72), 0.28, 0.20, 0.06, 1)
ENDOTHELIAL = Kind("endothelial", (15, 22), (4, 5.5), (0.70, 0.95), 0.18, 0.05, 0.06)
ADIPOCYTE = Kind("adipocyte", (13, 18), (3.5, 4.8), (0.70, 0.90), 0.12, 0.05, 0.05)

_CROWDED = 0.12  # largest share of a nucleus that may lie under others


@dataclass(eq=False)
class Painter:
    """Paints nuclei one by one, each over free ground, and keeps the truth about them."""

    rng: np.random.Generator
    canvas: Canvas
    glass: NDArray[np.bool_]
    labels: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(SHAPE, np.uint16))
    classes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        noise = self.rng.standard_normal((512, 512))
        fine, coarse = (gaussian_filter(noise, s, mode="wrap") for s in (1.0, 2.6))
        self._chromatin = fine / fine.std() + 1.2 * coarse / coarse.std()
        self._chromatin /= self._chromatin.std()

    def add(self, kind: Kind, row: float, col: float, angle: float) -> bool:
        """Paint one nucleus; False, and nothing is painted, where there is no room."""
        rng = self.rng
        half = (rng.uniform(*kind.length), rng.uniform(*kind.width))
        place = _patch(row, col, 1.6 * half[0] + 6)
        radius = self._outline(kind, place, (row, col), angle, half)
        inside = radius < 1
        free = self.labels[place] == 0
        if not self._fits(place, inside, free):
            return False
        self.classes.append(kind.name)
        self.labels[place][inside & free] = len(self.classes)
        self._stain(kind, place, radius, free, float(np.sqrt(half[0] * half[1])))
        return True

    def _fits(
        self, place: tuple[slice, slice], inside: NDArray[np.bool_], free: NDArray[np.bool_]
    ) -> bool:
        """Whether a nucleus lies on tissue, hardly under others, and is not cut into pieces."""
        if not inside.any() or self.glass[place][inside].any():
            return False
        _, pieces = label(inside & free)
        return bool((~free[inside]).mean() <= _CROWDED and pieces == 1)

    def _outline(
        self,
        kind: Kind,
        place: tuple[slice, slice],
        centre: tuple[float, float],
        angle: float,
        half: tuple[float, float],
    ) -> Field:
        """Distance from the centre in units of the outline's: below 1 is inside."""
        rows, cols = np.mgrid[place]
        dr, dc = rows - centre[0], cols - centre[1]
        x = (dc * np.cos(angle) + dr * np.sin(angle)) / half[0]
        y = (dr * np.cos(angle) - dc * np.sin(angle)) / half[1]
        if half[0] > 2 * half[1]:  # long ones are bent
            y += self.rng.normal(0, 0.45) * (x**2 - 0.4)
        theta = np.arctan2(y, x)
        waves = [
            self.rng.normal(0, kind.rough / (k - 1)) * np.cos(k * theta + self.rng.uniform(0, 6.28))
            for k in (2, 3, 4, 5, 6)
        ]
        return np.hypot(x, y) / np.clip(1 + np.sum(waves, axis=0), 0.6, 1.5)

    def _stain(
        self,
        kind: Kind,
        place: tuple[slice, slice],
        radius: Field,
        free: NDArray[np.bool_],
        size: float,
    ) -> None:
        rng = self.rng
        r0, c0 = rng.integers(0, 360, 2)
        grain = self._chromatin[r0 : r0 + radius.shape[0], c0 : c0 + radius.shape[1]]
        amount = rng.uniform(*kind.stain) * (1 + kind.clumps * grain)
        amount += kind.rim * np.exp(-(((radius - 0.92) * size / 2.2) ** 2))
        for _ in range(rng.integers(0, kind.nucleoli + 1)):
            amount += self._nucleolus(radius)
        cover = np.clip((1 - radius) * size / 1.6 + 0.5, 0, 1) * free
        halo = 0.25 * np.clip(1.25 - radius, 0, 0.25) / 0.25 * free
        haem, eosin = self.canvas.haematoxylin[place], self.canvas.eosin[place]
        eosin *= 1 - np.maximum(halo, 0.45 * cover)
        haem += (np.maximum(amount, 0.1) - haem) * cover

    def _nucleolus(self, radius: Field) -> Field:
        """A dark round spot somewhere inside."""
        inner = np.argwhere(radius < 0.6)
        row, col = inner[self.rng.integers(len(inner))]
        rows, cols = np.indices(radius.shape, sparse=True)
        distance = np.hypot(rows - row, cols - col) / self.rng.uniform(2.4, 4.2)
        return 0.5 * np.exp(-(distance**4))


def paint_nuclei(rng: np.random.Generator, layout: Layout, canvas: Canvas) -> Painter:
    """Paint all nuclei onto the canvas.

    Returns
    -------
    Painter
        Holds `labels`, (2400, 3000) uint16 with ids 1 ... n, and `classes`, a name per id.
    """
    painter = Painter(rng, canvas, layout.glass)
    for kind, row, col, angle in _places(rng, layout, canvas):
        painter.add(kind, row, col, angle)
    return painter


def _places(
    rng: np.random.Generator, layout: Layout, canvas: Canvas
) -> Iterator[tuple[Kind, float, float, float]]:
    for rings, truth, kind in (
        (GLANDS, layout.glands, EPITHELIAL),
        (VESSELS, layout.vessels, ENDOTHELIAL),
    ):
        for ring in rings:
            yield from _around(rng, ring, truth, kind)
    for row, col in canvas.tumour_cells + rng.normal(0, 3, canvas.tumour_cells.shape):
        kind = MITOSIS if rng.random() < 0.025 else TUMOUR
        yield kind, row, col, rng.uniform(0, np.pi)
    for row, col, angle in canvas.fat_walls:
        yield ADIPOCYTE, row, col, angle
    stroma = (layout.regions() == REGIONS["stroma"]) & (layout.vessels > 1.3)
    for row, col in scattered(rng, stroma & (layout.crowd > 0.35), 27, 6000):
        yield LYMPHOCYTE, row, col, rng.uniform(0, np.pi)
    loose = stroma & (layout.nest_distance > 14)
    for row, col in scattered(rng, loose, 52, 12_000):
        angle = canvas.fibre_angle[int(row), int(col)] + rng.normal(0, 0.12)
        if rng.random() < 0.55:
            yield FIBROBLAST, row, col, angle
        elif rng.random() < 0.4:
            yield LYMPHOCYTE, row, col, angle


def _around(
    rng: np.random.Generator, ring: Ring, wall: Field, kind: Kind
) -> Iterator[tuple[Kind, float, float, float]]:
    """Nuclei along a wall: pointing to the lumen in a gland, lying flat in a vessel."""
    gland = kind is EPITHELIAL
    depth, spacing = (0.72, 27.0) if gland else (0.5, 58.0)
    count = int(2 * np.pi * ring.outer / spacing)
    for step in range(count):
        theta = 2 * np.pi * (step + rng.normal(0, 0.12)) / count
        direction = np.array([np.sin(theta), np.cos(theta)])
        row, col = _at_depth(wall, ring, direction, depth + rng.normal(0, 0.07))
        angle = theta if gland else theta + np.pi / 2
        yield kind, row, col, angle + rng.normal(0, 0.1)


def _at_depth(wall: Field, ring: Ring, direction: Field, depth: float) -> tuple[float, float]:
    """Walk from the centre until the wall is as deep as wanted."""
    for radius in range(10, int(1.6 * ring.outer)):
        row, col = np.array(ring.centre) + radius * direction
        if wall[int(row), int(col)] >= depth:
            break
    return float(row), float(col)


def _patch(row: float, col: float, reach: float) -> tuple[slice, slice]:
    return tuple(  # type: ignore[return-value]
        slice(max(0, int(v - reach)), min(n, int(v + reach) + 1))
        for v, n in zip((row, col), SHAPE, strict=True)
    )
