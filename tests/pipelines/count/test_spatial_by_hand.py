"""How cells lie, from the written files, worked out anew by all distances and by polygons.

Nothing of the code that is tested is used but the rule that tells where cells can lie.
"""

import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
from scipy.spatial import ConvexHull

from histoprompt import cli
from histoprompt.core.task import Task
from histoprompt.pipelines.count.counted_folder import read_counted
from histoprompt.pipelines.count.spatial.numbers import with_spatial
from histoprompt.pipelines.count.spatial.places import window_in
from histoprompt.pipelines.count.spatial.statistics import box_window, cross_k
from histoprompt.pipelines.project.project import new_project, open_project
from histoprompt.pipelines.relate.of_counts import count_features
from made_counts import CLASSES, MPP, REGIONS, SIDE, made_cells, write_count

RADIUS, REACH = 25.0, 60.0


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A project of one slide, counted, with how its cells lie written beside."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "a.txt").write_text("")
    new_project(folder, "made")
    (folder / "slides.csv").write_text("id,path,mpp,patient\na,a.txt,0.5,P1\n")
    project = open_project(folder)
    counted = project.results(project.slides[0]) / "count"
    write_count(counted, made_cells(np.random.default_rng(7), 90, 140, near=0.6))
    assert cli.main(["counts", "spatial", str(counted), "--labellings", "1999", "--radius",
                     f"{RADIUS:g}", "--reach", f"{REACH:g}"]) == 0  # fmt: skip
    return project, counted


def cells_of(counted, region):
    """Places in µm (n, 2), classes (n,) and all distances (n, n); nobody is its own neighbour."""
    cells = read_counted(counted).cells
    x0, y0, x1, y1 = REGIONS.get(region, (0, 0, SIDE, SIDE))
    x, y = cells.col + 0.5, cells.row + 0.5
    inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
    points = np.stack([cells.row, cells.col], axis=1)[inside].astype(float) * MPP
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    return points, cells.code[inside], apart


def weights_of(counted, region, points):
    """One over the area that the window shares with itself moved, of every two cells."""
    read = read_counted(counted)
    drawn = next((r for r in read.regions if r.name == region), None)
    of = {"left": read.cells.col + 0.5 < 500, "right": read.cells.col + 0.5 > 500}
    window = window_in(read.cells[of[region]] if drawn else read.cells, MPP, drawn)
    side = window.pixel
    squares = [shapely.box(c * side, r * side, (c + 1) * side, (r + 1) * side)
               for r, c in np.argwhere(window.mask)]  # fmt: skip
    whole = shapely.union_all(squares)
    n = len(points)
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            dy, dx = points[i] - points[j]
            if np.hypot(dy, dx) <= REACH:
                moved = shapely.transform(whole, lambda xy, d=(dx, dy): xy + np.array(d))
                found[i, j] = found[j, i] = 1 / whole.intersection(moved).area
    return found, whole.area


def k_of(near, codes, weights, area, pair):
    """Ripley's K of two classes by its definition."""
    one, other = codes == pair[0], codes == pair[1]
    ordered = one.sum() * (other.sum() - (pair[0] == pair[1]))
    return area**2 * (weights * (near & one[:, None] & other)).sum() / ordered


@pytest.mark.parametrize("region", ["all", "left"])
def test_numbers_of_pairs_are_those_of_all_distances(study, region):
    _, codes, apart = cells_of(study[1], region)
    table = pd.read_csv(study[1] / "spatial" / "spatial.csv").set_index(
        ["region", "first", "second"]
    )
    for a, first in enumerate(CLASSES):
        for b, second in enumerate(CLASSES):
            line = table.loc[(region, first, second)]
            of = apart[codes == a][:, codes == b]
            assert (line["cells"], line["others"]) == ((codes == a).sum(), (codes == b).sum())
            assert line["within"] == pytest.approx((of <= RADIUS).sum(axis=1).mean(), rel=1e-4)
            assert line["nearest_um"] == pytest.approx(np.median(of.min(axis=1)), rel=1e-4)


@pytest.mark.parametrize("region", ["all", "left"])
def test_cross_k_its_envelope_and_its_p_are_those_of_the_definition(study, region):
    points, codes, apart = cells_of(study[1], region)
    weights, area = weights_of(study[1], region, points)
    table = pd.read_csv(study[1] / "spatial" / "cross_k.csv")
    lines = table[(table["region"] == region) & (table["first"] == CLASSES[0])
                  & (table["second"] == CLASSES[1])]  # fmt: skip
    places = pd.read_csv(study[1] / "spatial" / "spatial.csv")
    assert (places["region_mm2"][places["region"] == region] * 1e6).tolist() == pytest.approx(
        [area] * 4, rel=1e-4
    )
    radii = lines["radius_um"].to_numpy()
    assert radii == pytest.approx(np.linspace(REACH / 10, REACH, 10))
    seen = np.array([k_of(apart <= r, codes, weights, area, (0, 1)) for r in radii])
    assert lines["k_um2"].to_numpy() == pytest.approx(seen, rel=1e-4)
    excess = np.sqrt(seen / np.pi) - radii
    assert lines["l_minus_r_um"].to_numpy() == pytest.approx(excess, rel=1e-3, abs=1e-4)
    # what labels dealt out anew give: other draws, so that ends differ by what chance leaves
    rng = np.random.default_rng(99)
    dealt = np.array([rng.permutation(codes) for _ in range(2000)])
    one, other = (dealt == 0).astype(float), (dealt == 1).astype(float)
    ordered = (codes == 0).sum() * (codes == 1).sum()
    sums = [((one @ (weights * (apart <= r))) * other).sum(axis=1) for r in radii]
    drawn = np.sqrt(area**2 * np.array(sums).T / ordered / np.pi) - radii
    spread = drawn.std(axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert (np.abs(lines["low"] - low) < 0.3 * spread).all()
    assert (np.abs(lines["high"] - high) < 0.3 * spread).all()
    far = np.abs((drawn - drawn.mean(axis=0)) / spread).max(axis=1)
    mine = np.abs((excess - drawn.mean(axis=0)) / spread).max()
    p = (1 + (far >= mine).sum()) / 2001
    written = places.set_index(["region", "first", "second"]).loc[(region, *CLASSES), "p"]
    assert written == pytest.approx(p, abs=0.05)


def test_the_map_is_the_sum_of_a_kernel_over_the_window(study):
    points, _, _ = cells_of(study[1], "all")
    path = study[1] / "spatial" / "density_all.tif"
    density = tifffile.imread(path)
    read = read_counted(study[1])
    window = window_in(read.cells, MPP, None)
    assert (np.isfinite(density) == window.mask).all()
    centres = (np.argwhere(window.mask) + 0.5) * window.pixel + window.origin

    def kernel(at):
        return np.exp(-((centres - at) ** 2).sum(axis=1) / (2 * 100.0**2))

    own = [kernel(at).sum() * window.pixel**2 / 1e6 for at in centres]
    expected = sum(kernel(at) for at in points) / own
    # cells stand in the middle of their square of 20 µm
    assert density[window.mask] == pytest.approx(expected, rel=0.06)
    assert density[window.mask].mean() == pytest.approx(np.mean(expected), rel=0.005)


def test_the_table_of_cells_and_the_features_have_the_same_numbers(study):
    project, counted = study
    cells = read_counted(counted).cells
    shown = with_spatial(cells, MPP, RADIUS)
    _, codes, apart = cells_of(counted, "all")
    for b, name in enumerate(CLASSES):
        near = shown.features[:, shown.feature_names.index(f"{name} within {RADIUS:g} um")]
        far = shown.features[:, shown.feature_names.index(f"nearest {name} um")]
        assert near.tolist() == (apart[:, codes == b] <= RADIUS).sum(axis=1).tolist()
        assert far == pytest.approx(apart[:, codes == b].min(axis=1), rel=1e-5)
    found = count_features(project, RADIUS, Task())
    numbers = dict(zip(found.names, found.values[0], strict=True))
    for region in ("all", "left"):
        points, codes, apart = cells_of(counted, region)
        of = apart[codes == 0][:, codes == 1]
        begin = "" if region == "all" else f"{region} | "
        between = f"{begin}{CLASSES[0]} to {CLASSES[1]}: "
        near = (of <= RADIUS).sum(axis=1).mean()
        assert numbers[f"{between}within {RADIUS:g} um"] == pytest.approx(near)
        assert numbers[f"{between}nearest um"] == pytest.approx(np.median(of.min(axis=1)))
        weights, area = weights_of(counted, region, points)
        k = k_of(apart <= RADIUS, codes, weights, area, (0, 1))
        l_less_r = np.sqrt(k / np.pi) - RADIUS
        assert numbers[f"{between}L - r at {RADIUS:g} um"] == pytest.approx(l_less_r, rel=1e-6)


def test_where_no_edge_is_near_k_is_that_of_squidpy():
    """Squidpy's L of a class: pairs both ways over its cells and over density, no edge corrected.

    The density there is of all cells within their hull; of one class alone it is the class's own.
    """
    points = np.random.default_rng(3).normal(500, 40, (120, 2))
    radius, area = 30.0, ConvexHull(points).volume
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    pairs = (apart[np.triu_indices(120, 1)] <= radius).sum()
    theirs = 2 * pairs / 120 / (120 / area)
    ours = cross_k(points, np.zeros(120, int), (0, 0), [radius], box_window(0, 0, 10_000, 10_000),
                   labellings=0)  # fmt: skip
    # the window is larger than the hull, and no cell is a neighbour of itself; a tenth of a
    # hundredth and less is shared less by a window moved by so little
    same = ours.k[0] * area / 10_000**2 * 119 / 120
    assert same == pytest.approx(theirs, rel=0.006)
