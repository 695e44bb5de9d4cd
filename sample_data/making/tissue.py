"""What lies between the nuclei: fibres, cytoplasm, fat, gland and vessel walls.

Everything is an amount of haematoxylin and of eosin a pixel, painted in place on a `Canvas`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from making.layout import SHAPE, Flags, Layout
from making.noise import Field, enlarged, octaves, scattered, smooth_noise, textured


@dataclass(frozen=True, eq=False)
class Canvas:
    """Amounts of the two dyes, and what the nuclei need to know of their surroundings.

    Attributes
    ----------
    haematoxylin, eosin : (2400, 3000) float64
    fibre_angle : (2400, 3000) float64
        Direction of the fibres in radians, from the column axis towards the row axis.
    tumour_cells : (n, 2) float64
        Places of the tumour cells.
    fat_walls : (n, 3) float64
        Places on the walls between fat cells, and the walls' angle.
    """

    haematoxylin: Field
    eosin: Field
    fibre_angle: Field
    tumour_cells: Field
    fat_walls: Field


def paint_tissue(rng: np.random.Generator, layout: Layout) -> Canvas:
    """Paint everything but nuclei."""
    haze = octaves(rng, SHAPE, [600, 150, 40])
    eosin, angle = _stroma(rng, layout)
    haematoxylin = 0.07 + 0.02 * haze + 0.07 * _smudges(rng)
    cells = _tumour(rng, layout, haematoxylin, eosin)
    _vessels(rng, layout.vessels, haematoxylin, eosin)
    _glands(rng, layout.glands, haematoxylin, eosin)
    walls = _fat(rng, layout, haematoxylin, eosin)
    eosin *= 1 + 0.08 * haze
    edge = gaussian_filter((~layout.glass).astype(float), 2.0)
    return Canvas(haematoxylin * edge, np.maximum(eosin, 0) * edge, angle, cells, walls)


def _smudges(rng: np.random.Generator) -> Field:
    """Faint blue matter between the fibres, and cells that lie too deep to be seen."""
    return np.clip(octaves(rng, SHAPE, [34, 12, 4]) - 0.8, 0, 2)


def _stroma(rng: np.random.Generator, layout: Layout) -> tuple[Field, Field]:
    """Eosin of wavy fibres that wrap around the nests, and the fibres' direction."""
    rows, cols = np.indices(SHAPE, dtype=float)
    along = 0.5 * rows + 0.87 * cols
    across = 0.87 * rows - 0.5 * cols
    across += 130 * smooth_noise(rng, SHAPE, 800) + 34 * smooth_noise(rng, SHAPE, 260)
    waves = along / 24 + 2.5 * smooth_noise(rng, SHAPE, 200)
    across += 4 * np.sin(waves) * (1 + smooth_noise(rng, SHAPE, 300))
    across += 90 * np.exp(-np.maximum(layout.nest_distance, 0) / 70)  # around the nests
    angle = _direction(across)
    across += 5 * smooth_noise(rng, SHAPE, 45)
    loose = np.clip(0.5 + 0.6 * smooth_noise(rng, SHAPE, 330), 0, 1)
    eosin = 0.36 + 0.11 * _fibres(rng, across, along) - 0.12 * loose
    eosin *= 1 + (0.10 + 0.12 * loose) * octaves(rng, SHAPE, [14, 3])
    return np.clip(eosin, 0.02, 0.85), angle


def _fibres(rng: np.random.Generator, across: Field, along: Field) -> Field:
    """Fibres of three widths, with clefts between the bundles."""
    fine = textured(rng, across * 0.85, along * 0.075)
    middle = textured(rng, across * 0.34, along * 0.035)
    bundles = textured(rng, across * 0.13, along * 0.02)
    clefts = np.clip(textured(rng, across * 0.24, along * 0.03) - 1.0, 0, 1.2)
    return 0.7 * fine + 0.6 * middle + 0.8 * bundles - 2.4 * clefts


def _direction(across: Field) -> Field:
    """Fibres run at right angles to the steepest change of the coordinate across them."""
    coarse = gaussian_filter(across[::8, ::8], 2)
    down, right = np.gradient(coarse)
    return np.asarray(np.arctan2(right, -down)).repeat(8, 0).repeat(8, 1)[: SHAPE[0], : SHAPE[1]]


def _tumour(rng: np.random.Generator, layout: Layout, haem: Field, eosin: Field) -> Field:
    """Cytoplasm of the tumour cells with faint borders; returns the cells' places."""
    cells = scattered(rng, layout.nest_distance < -14, 47, 60_000)
    nearest, border = _borders(rng, layout.tumour, cells)
    tone = rng.normal(0, 1, len(cells))[nearest]
    grain = octaves(rng, SHAPE, [30, 9, 3, 1.5])
    edge = layout.nest_distance + 2.5 * smooth_noise(rng, SHAPE, 24)
    inside = np.clip(-edge / 4 + 0.5, 0, 1)
    wall = np.exp(-((border / 5) ** 2)) * np.clip(0.6 + 0.5 * smooth_noise(rng, SHAPE, 40), 0, 1)
    _blend(eosin, 0.22 + 0.025 * tone + 0.055 * grain + 0.13 * wall, inside)
    _blend(haem, 0.16 + 0.02 * tone + 0.045 * grain + 0.04 * wall, inside)
    holes = np.clip(smooth_noise(rng, SHAPE, 22) - 1.9, 0, 0.5) * 2 * inside
    cleft = np.exp(-(((edge - 4) / 4) ** 2)) * np.clip(smooth_noise(rng, SHAPE, 110) - 0.3, 0, 0.8)
    _clear((eosin, haem), np.maximum(cleft, 0.8 * holes))
    return cells


def _glands(rng: np.random.Generator, ring: Field, haem: Field, eosin: Field) -> None:
    """Columnar epithelium around a lumen that holds a little secretion."""
    grain = octaves(rng, SHAPE, [30, 9, 3, 1.5])
    wall = np.clip((1 - ring) * 25, 0, 1)
    _blend(eosin, 0.32 + 0.05 * grain - 0.08 * np.clip(0.5 - ring, 0, 1), wall)
    _blend(haem, 0.16 + 0.04 * grain, wall)
    eosin += 0.20 * np.exp(-(((ring - 1.02) * 30) ** 2))  # basement membrane
    eosin += 0.18 * np.exp(-(((ring - 0.02) * 22) ** 2))  # brush border
    lumen = np.clip(-ring * 25, 0, 1)
    secretion = np.clip(0.5 * smooth_noise(rng, SHAPE, 60) - 0.1, 0, 1) * np.clip(-ring, 0, 0.5)
    _blend(eosin, 0.01 + 0.4 * secretion, lumen)
    _blend(haem, 0.01 + 0.05 * secretion, lumen)


def _vessels(rng: np.random.Generator, ring: Field, haem: Field, eosin: Field) -> None:
    """A thin wall around red blood cells, which are eosin without a nucleus."""
    eosin += 0.25 * np.exp(-(((ring - 0.6) * 2.4) ** 2))
    lumen = np.clip(-ring * 12, 0, 1)
    _blend(eosin, np.full(SHAPE, 0.02), lumen)
    _blend(haem, np.full(SHAPE, 0.01), lumen)
    for row, col in scattered(rng, ring < -0.25, 25, 400):
        if rng.random() < 0.75:
            _blood_cell(rng, eosin, row, col)


def _blood_cell(rng: np.random.Generator, eosin: Field, row: float, col: float) -> None:
    """A disc that is thinner in the middle."""
    place = np.s_[int(row) - 16 : int(row) + 17, int(col) - 16 : int(col) + 17]
    rows, cols = np.mgrid[place]
    radius = np.hypot(rows - row, cols - col) / rng.uniform(12, 14)
    thickness = 0.75 - 0.22 * np.exp(-((radius / 0.5) ** 2))
    _blend(eosin[place], thickness, np.clip((1 - radius) * 8, 0, 1))


def _fat(rng: np.random.Generator, layout: Layout, haem: Field, eosin: Field) -> Field:
    """Empty fat cells between thin walls; returns places on the walls with their angle."""
    grown = gaussian_filter(layout.fat.astype(float), 30) > 0.1
    cells = scattered(rng, grown, 150, 4000)
    _, border = _borders(rng, grown, cells)
    inner = gaussian_filter((border > 10).astype(float), 9)  # rounds the corners
    empty = np.clip((inner - 0.56) * 6, 0, 1)
    empty *= np.clip((gaussian_filter(layout.fat.astype(float), 3) - 0.5) * 6, 0, 1)
    wall = np.clip(gaussian_filter(layout.fat.astype(float), 6) * 1.2, 0, 1)
    _blend(eosin, 0.30 + 0.06 * octaves(rng, SHAPE, [20, 5]), wall)
    _blend(haem, np.full(SHAPE, 0.05), wall)
    _clear((eosin, haem), empty)
    return _on_walls(rng, layout.fat, cells)


def _on_walls(rng: np.random.Generator, fat: Flags, cells: Field) -> Field:
    """Middles between neighbouring fat cells, with the angle of the wall there."""
    found = []
    for a, b in sorted(cKDTree(cells).query_pairs(200)):
        row, col = (cells[a] + cells[b]) / 2
        if rng.random() < 0.5 and fat[int(row), int(col)]:
            down, right = cells[b] - cells[a]
            found.append((row, col, np.arctan2(right, -down)))
    return np.array(found).reshape(-1, 3)


def _borders(rng: np.random.Generator, where: Flags, cells: Field) -> tuple[np.ndarray, Field]:
    """For every pixel the nearest cell, and how much farther the second nearest is.

    Found on every second pixel, and only where asked; elsewhere cell 0 and a far border. Places
    are shaken a little, so that borders are not straight.
    """
    half = (SHAPE[0] // 2, SHAPE[1] // 2)
    nearest, border = np.zeros(half, int), np.full(half, 99.0)
    shake = np.stack([4 * smooth_noise(rng, half, 32) for _ in range(2)], axis=-1)
    found = where[::2, ::2]
    distance, index = cKDTree(cells).query(np.argwhere(found) * 2.0 + shake[found], k=2)
    nearest[found] = index[:, 0]
    border[found] = distance[:, 1] - distance[:, 0]
    return nearest.repeat(2, 0).repeat(2, 1), enlarged(border, 2, SHAPE)


def _blend(under: Field, over: Field, opacity: Field) -> None:
    under += (over - under) * opacity


def _clear(dyes: tuple[Field, ...], opacity: Field) -> None:
    for dye in dyes:
        np.multiply(dye, 1 - opacity, out=dye)
