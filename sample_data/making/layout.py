"""Where everything lies on the made slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from making.noise import Field, enlarged, octaves

Flags = NDArray[np.bool_]

SHAPE: Final = (2400, 3000)
MPP: Final = 0.25
REGIONS: Final = {"glass": 0, "stroma": 1, "tumour": 2, "fat": 3, "gland": 4, "pen": 5}
OUT_OF_FOCUS: Final = ((2060.0, 560.0), 300.0)  # centre and radius

_STEP = 4  # outlines are computed on every fourth pixel and enlarged smoothly


@dataclass(frozen=True)
class Ring:
    """A gland or a vessel: a wobbly wall around a lumen.

    Attributes
    ----------
    centre : (row, col)
    outer, lumen : float
        Mean radii of the wall's outside and of the lumen.
    """

    centre: tuple[float, float]
    outer: float
    lumen: float


GLANDS: Final = (
    Ring((560.0, 1700.0), 225.0, 128.0),
    Ring((900.0, 2090.0), 170.0, 85.0),
    Ring((430.0, 2180.0), 135.0, 56.0),
)
VESSELS: Final = (Ring((1230.0, 1760.0), 82.0, 62.0), Ring((2130.0, 1330.0), 66.0, 48.0))


@dataclass(frozen=True, eq=False)
class Layout:
    """Masks and signed fields over the slide, all (2400, 3000).

    Attributes
    ----------
    glass, tumour, fat, pen : bool
        What lies there; the rest is stroma or gland.
    glands, vessels : float64
        Depth in the nearest one's wall: 0 at the lumen's edge and 1 at the outside.
    nest_distance : float64
        Pixels from the nearest tumour nest; negative inside it.
    ink : float64
        Thickness of the pen's ink, 0 to 1.
    crowd : float64
        How crowded lymphocytes are, 0 to 1.
    """

    glass: Flags
    tumour: Flags
    fat: Flags
    pen: Flags
    glands: Field
    vessels: Field
    nest_distance: Field
    ink: Field
    crowd: Field

    def regions(self) -> NDArray[np.uint8]:
        """The codes of `REGIONS` a pixel; ink hides what is under it."""
        out = np.full(SHAPE, REGIONS["stroma"], np.uint8)
        out[self.tumour] = REGIONS["tumour"]
        out[self.fat] = REGIONS["fat"]
        out[self.glands < 1] = REGIONS["gland"]
        out[self.glass] = REGIONS["glass"]
        out[self.pen] = REGIONS["pen"]
        return out


def lay_out(rng: np.random.Generator) -> Layout:
    """Draw the outlines."""
    shape = (SHAPE[0] // _STEP, SHAPE[1] // _STEP)
    rows, cols = (a * float(_STEP) for a in np.indices(shape))
    glands = np.minimum.reduce([_ring(rng, rows, cols, g, 0.10) for g in GLANDS])
    vessels = np.minimum.reduce([_ring(rng, rows, cols, v, 0.16) for v in VESSELS])
    tissue = _tissue(rng, rows, cols)
    fat = 390 - _ellipse(rows, cols, (1830, 2010), (1.0, 1.1)) + 60 * _bumps(rng, shape, 260)
    around = np.minimum(glands - 1, vessels - 1) * 100 - 30
    nests = np.minimum.reduce([_nests(rng, rows, cols), around, -fat - 40, tissue - 25])
    inside = gaussian_filter(nests, 4) > 0
    distance = gaussian_filter(
        (distance_transform_edt(~inside) - distance_transform_edt(inside)) * _STEP, 1.5
    )
    ink = _ink(rng, rows, cols)
    crowd = np.exp(-((_ellipse(rows, cols, (1440, 1330), (0.8, 1.3)) / 140) ** 4))
    return Layout(
        glass=_full(tissue) < 0,
        tumour=_full(distance) < 0,
        fat=_full(fat) > 0,
        pen=_full(ink) > 0.5,
        glands=_full(glands),
        vessels=_full(vessels),
        nest_distance=_full(distance),
        ink=_full(ink),
        crowd=_full(crowd),
    )


def _full(field: Field) -> Field:
    return enlarged(field, _STEP, SHAPE)


def _bumps(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> Field:
    scales = [width / _STEP, width / _STEP / 3, width / _STEP / 8]
    return octaves(rng, (shape[0], shape[1]), scales)


def _ellipse(
    rows: Field, cols: Field, centre: tuple[float, float], squash: tuple[float, float]
) -> Field:
    return np.hypot((rows - centre[0]) / squash[0], (cols - centre[1]) / squash[1])


def _tissue(rng: np.random.Generator, rows: Field, cols: Field) -> Field:
    """Above 0 on tissue: one large piece and a torn-off crumb."""
    piece = np.minimum.reduce(
        [rows - 130, SHAPE[0] - 140 - rows, cols - 120, 2480 - 0.10 * np.abs(rows - 1250) - cols]
    )
    crumb = 95 - _ellipse(rows, cols, (1620, 2740), (1.3, 0.8))
    return np.maximum(np.minimum(piece, 150) + 34 * _bumps(rng, rows.shape, 420), crumb)


def _nests(rng: np.random.Generator, rows: Field, cols: Field) -> Field:
    """Above 0 in nests of tumour, which thin out from the middle of a zone on the left."""
    zone = 1 - (_ellipse(rows, cols, (1230, 760), (1.15, 0.75)) / 900) ** 2
    return 60 * (_bumps(rng, rows.shape, 240) + 2.4 * np.minimum(zone, 0.4) - 0.75)


def _ring(rng: np.random.Generator, rows: Field, cols: Field, ring: Ring, wobble: float) -> Field:
    """0 at the lumen's edge and 1 at the outside, both out of round."""
    dr, dc = rows - ring.centre[0], cols - ring.centre[1]
    angle, radius = np.arctan2(dr, dc), np.hypot(dr, dc)
    lumen = ring.lumen * (1 + _waves(rng, angle, 1.5 * wobble))
    outer = ring.outer * (1 + _waves(rng, angle, wobble))
    return (radius - lumen) / np.maximum(outer - lumen, 0.3 * (ring.outer - ring.lumen))


def _waves(rng: np.random.Generator, angle: Field, size: float) -> Field:
    waves = [
        rng.normal(0, size / k) * np.cos(k * angle + rng.uniform(0, 6.28)) for k in range(2, 8)
    ]
    return np.sum(waves, axis=0)


def _ink(rng: np.random.Generator, rows: Field, cols: Field) -> Field:
    """A stroke of a felt pen along the tissue's right edge."""
    middle = 2600 - 0.00016 * (rows - 300) ** 2 + 45 * np.sin(rows / 210)
    width = 60 + 5 * _bumps(rng, rows.shape, 120)
    # the tip is round: beyond the stroke's ends, distance counts in rows too
    beyond = np.maximum(np.maximum(150 - rows, rows - 1130), 0)
    return np.clip((width - np.hypot(cols - middle, beyond)) / 14 + 0.5, 0, 1)
