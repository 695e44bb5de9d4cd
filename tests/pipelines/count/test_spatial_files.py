"""How cells lie, from the folder of a count to tables, maps and a page."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from histoprompt import cli
from histoprompt.pipelines.count.counted_folder import read_counted
from histoprompt.pipelines.count.spatial.files import CURVE_COLUMNS, PLACE_COLUMNS
from histoprompt.pipelines.count.spatial.numbers import pair_numbers
from histoprompt.pipelines.count.spatial.places import within
from made_counts import MPP, SIDE, made_cells, write_count


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """On the left lymphocytes lie beside tumour cells, on the right at random."""
    folder = tmp_path_factory.mktemp("spatial") / "slide"
    rng = np.random.default_rng(2)
    cells = made_cells(rng, 200, 200, near=1.0)
    cells.row[:100], cells.col[:100] = rng.uniform(20, 980, 100), rng.uniform(510, 990, 100)
    write_count(folder, cells)
    assert cli.main(["counts", "spatial", str(folder), "--labellings", "99", "--radius", "20",
                     "--reach", "60"]) == 0  # fmt: skip
    return folder


def test_numbers_are_of_the_slide_and_of_each_region(counted):
    table = pd.read_csv(counted / "spatial" / "spatial.csv")
    assert tuple(table.columns) == PLACE_COLUMNS
    assert list(dict.fromkeys(table["region"])) == ["all", "left", "right"]
    assert len(table) == 3 * 4
    read = read_counted(counted)
    left = within(read.cells, read.regions[0])
    assert (left.col < SIDE / 2).all()
    rows = table[table["region"] == "left"].set_index(["first", "second"])
    for pair in pair_numbers(left, MPP, 20):
        line = rows.loc[(pair.first, pair.second)]
        assert (line["cells"], line["others"]) == (pair.cells, pair.others)
        assert line["within"] == pytest.approx(pair.neighbours, rel=1e-4)
        assert line["nearest_um"] == pytest.approx(pair.nearest_um, rel=1e-4)
    # together where they were put together; of the right side that is not seen
    lines = table.set_index(["region", "first", "second"])
    assert lines.loc[("left", "lymphocyte", "tumour"), "p"] == pytest.approx(0.01)
    assert lines.loc[("left", "lymphocyte", "tumour"), "l_minus_r_um"] > 0
    assert lines.loc[("right", "lymphocyte", "lymphocyte"), "p"] > 0.01
    # the window of a region ends with it
    assert lines.loc[("left", "tumour", "tumour"), "region_mm2"] < 0.5**2 / 2 * 1.1


def test_curves_have_their_envelope(counted):
    table = pd.read_csv(counted / "spatial" / "cross_k.csv")
    assert tuple(table.columns) == CURVE_COLUMNS
    assert sorted(set(table["radius_um"])) == pytest.approx(np.linspace(6, 60, 10))
    assert (table["low"] <= table["high"]).all()
    of = table[(table["region"] == "left") & (table["first"] != table["second"])]
    assert (of["l_minus_r_um"] > of["high"]).any()


def test_maps_are_pictures_of_densities(counted):
    with tifffile.TiffFile(counted / "spatial" / "density_lymphocyte.tif") as file:
        density, told = file.asarray(), file.ome_metadata
    assert density.dtype == np.float32
    assert 'PhysicalSizeX="20.0"' in told
    # all cells there are, over the area: 200 in a quarter of a square millimetre
    inside = np.isfinite(density)
    assert np.nansum(density) * 20**2 / 1e6 == pytest.approx(200, rel=0.1)
    assert 0.2 < inside.sum() * 20**2 / 1e6 < 0.32
    page = (counted / "spatial" / "spatial.html").read_text()
    assert page.count("data:image/png") == 3
    assert page.count("<polyline") == 12


def test_one_class_has_no_envelope_and_the_page_says_so(tmp_path, capsys):
    cells = made_cells(np.random.default_rng(0), 0, 80)
    write_count(tmp_path / "one", cells, regions=False)
    assert cli.main(["counts", "spatial", str(tmp_path / "one")]) == 0
    assert "nothing to deal out anew" in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "one" / "spatial" / "spatial.csv")
    assert len(table) == 1
    assert table["p"].isna().all()
    assert table["l_minus_r_um"].notna().all()
    page = (tmp_path / "one" / "spatial" / "spatial.html").read_text()
    assert "nothing to deal out anew" in page
    assert "nan" not in page


def test_what_cannot_be_measured_is_one_line(tmp_path, capsys):
    rng = np.random.default_rng(0)
    write_count(tmp_path / "bare", made_cells(rng), mpp=None)
    write_count(tmp_path / "few", made_cells(rng, 3, 4), regions=False)
    (tmp_path / "empty").mkdir()
    for name, said in (("bare", "states no pixel size"), ("empty", "holds no count")):
        assert cli.main(["counts", "spatial", str(tmp_path / name)]) == 1
        told = capsys.readouterr().err
        assert said in told
        assert len(told.strip().splitlines()) == 1
    assert cli.main(["counts", "spatial", str(tmp_path / "few"), "--out", str(tmp_path / "o")]) == 0
    assert "too few" in capsys.readouterr().err
