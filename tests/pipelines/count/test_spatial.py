"""Spatial numbers against brute force, closed forms, and points put where they are known to lie."""

import numpy as np
import pytest

from histoprompt.core.cell_table import CellTable
from histoprompt.pipelines.count.spatial.numbers import pair_numbers, with_spatial
from histoprompt.pipelines.count.spatial.statistics import (
    box_window,
    cross_k,
    density_map,
    nearest,
    neighbours,
    overlap,
    window_of,
)

RNG = np.random.default_rng(4)


def test_neighbours_and_nearest_are_those_of_all_distances():
    points, codes = RNG.uniform(0, 200, (80, 2)), RNG.integers(0, 3, 80)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    of = codes == np.arange(3)[:, None]
    assert (neighbours(points, codes, 3, 30) == [[(row[c] <= 30).sum() for c in of]
                                                 for row in apart]).all()  # fmt: skip
    expected = np.array([[row[c].min() for c in of] for row in apart])
    assert nearest(points, codes, 3) == pytest.approx(expected)


def test_a_class_of_one_cell_has_no_nearest_of_its_own():
    points = np.array([[0.0, 0], [3, 4]])
    assert np.isnan(nearest(points, np.array([0, 1]), 2)[0, 0])
    assert nearest(points, np.array([0, 1]), 2)[0, 1] == 5


def test_a_rectangle_moved_shares_what_is_left():
    window = box_window(0, 0, 400, 600)
    shifts = np.array([[0, 0], [40, 0], [-100, 60], [0, -600]])
    expected = [400 * 600, 360 * 600, 300 * 540, 20 * 20]
    assert overlap(window, shifts) == pytest.approx(expected, rel=1e-6)


def test_k_of_points_at_random_is_the_area_of_the_disc_also_at_edges():
    window, radii = box_window(0, 0, 600, 400), [20.0, 60.0, 120.0]
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        points = rng.uniform(0, 1, (200, 2)) * (600, 400)
        codes = rng.integers(0, 2, 200)
        found.append(cross_k(points, codes, (0, 1), radii, window, labellings=1).k)
    error = np.std(found, axis=0) / np.sqrt(30)
    disc = np.pi * np.square(radii)
    assert (np.abs(np.mean(found, axis=0) - disc) < 3 * error + 0.01 * disc).all()
    # without the correction a fifth would be missing at the largest radius
    assert (error < 0.03 * disc).all()


def test_k_is_the_sum_of_its_definition():
    points, codes = RNG.uniform(0, 200, (30, 2)), RNG.integers(0, 2, 30)
    window = box_window(0, 0, 200, 200)
    found = cross_k(points, codes, (0, 1), [25.0, 50.0], window, labellings=1)
    total = 0.0
    for a in points[codes == 0]:
        for b in points[codes == 1]:
            dy, dx = np.abs(a - b)
            if np.hypot(dy, dx) <= 50:
                total += 1 / ((200 - dy) * (200 - dx))
    n0, n1 = (codes == 0).sum(), (codes == 1).sum()
    assert found.k[1] == pytest.approx(total * 200**4 / (n0 * n1), rel=1e-9)


def test_cells_that_lie_together_leave_the_envelope_and_others_do_not():
    centres = RNG.uniform(100, 900, (20, 2))
    tumour = np.concatenate([c + RNG.normal(0, 15, (8, 2)) for c in centres])
    near = np.concatenate([c + RNG.normal(0, 15, (4, 2)) for c in centres])
    far = RNG.uniform(0, 1000, (240, 2))
    points = np.concatenate([tumour, near, far])
    codes = np.repeat([0, 1, 2], [160, 80, 240])
    window = box_window(0, 0, 1000, 1000)
    together = cross_k(points, codes, (0, 1), [10, 20, 40], window, labellings=99)
    assert together.p == pytest.approx(0.01)
    assert (together.excess > together.high).all()
    apart = cross_k(points, codes, (0, 2), [10, 20, 40], window, labellings=99)
    assert (apart.excess < apart.low).all()
    # of classes that mean nothing, one in twenty is outside
    ps = []
    for seed in range(40):
        codes = np.random.default_rng(seed).integers(0, 2, len(points))
        ps.append(cross_k(points, codes, (0, 1), [10, 20, 40], window, labellings=39, seed=seed).p)
    assert np.mean(np.array(ps) <= 0.05) <= 0.15


def test_density_is_cells_per_mm2_also_at_edges():
    grid = np.stack(np.meshgrid(np.arange(5.0, 1000, 10), np.arange(5.0, 1000, 10)), -1)
    found = density_map(grid.reshape(-1, 2), box_window(0, 0, 1000, 1000), 60)
    assert found == pytest.approx(np.full(found.shape, 1e4), rel=0.02)
    window = window_of(np.array([[0.0, 0.0], [0.0, 500.0]]))
    assert np.isnan(density_map(np.array([[0.0, 0.0]]), window)).any()


def made_cells():
    points = RNG.uniform(0, 1000, (300, 2))
    code = (points[:, 0] > 500).astype(np.int16)
    return CellTable(np.arange(1, 301), points[:, 0], points[:, 1], np.full(300, 40.0), code=code,
                     classes=("stroma", "tumour"))  # fmt: skip


def test_cells_get_columns_in_microns():
    cells = made_cells()
    more = with_spatial(cells, 0.5, 30)
    assert more.feature_names == ("stroma within 30 um", "tumour within 30 um",
                                  "nearest stroma um", "nearest tumour um")  # fmt: skip
    apart = np.hypot(cells.row - cells.row[0], cells.col - cells.col[0]) * 0.5
    here = (apart <= 30) & (cells.code == 0)
    assert more.features[0, 0] == here.sum() - (cells.code[0] == 0)
    again = with_spatial(more, 0.5, 30)
    assert again.feature_names == more.feature_names
    assert len(with_spatial(CellTable.empty(), 0.5, 30)) == 0


def test_pairs_tell_who_is_beside_whom():
    found = {(p.first, p.second): p for p in pair_numbers(made_cells(), 0.5, 30, labellings=39)}
    assert len(found) == 4
    assert found["stroma", "stroma"].neighbours > 3 * found["stroma", "tumour"].neighbours
    assert found["stroma", "tumour"].nearest_um > found["stroma", "stroma"].nearest_um
    assert found["stroma", "tumour"].k.p <= 0.05
