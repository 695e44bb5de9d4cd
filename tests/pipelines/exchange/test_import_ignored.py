"""Imported cells in ignored areas are left out of a count and its area, as counted ones are."""

import json

import numpy as np
import pytest

from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.pipelines.count.stored import open_count, stored_counts
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.into_count import keep_imported_count, plan_count
from histoprompt.pipelines.exchange.looking import ImportRequest, look
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.formats.cell_files import read_cells

SIDE, MPP = 400, 0.5
PX_MM2 = MPP**2 / 1e6
# Cells of 4 x 4 pixels whose middles lie at 10, 30, ..., 390: 20 rows of 20.
STEP, CELLS = 20, 400
# A region of rows 100 to 200 and columns 40 to 100 has the middles of five rows and three columns.
FOLD, FOLDED = Box(100, 40, 200, 100), 15
# An object whose edges run through cells: of those at column 310 it has three of four columns, and
# so their middles; of that at row 310 it has one of four rows, and so not its middle.
SPECK, SPECKED = Box(240, 300, 309, 311), 3
LEFT = CELLS - FOLDED - SPECKED


@pytest.fixture
def slide_file(tmp_path, monkeypatch):
    """Pink and even: all of it is tissue, so that a place has its own area."""
    import tifffile

    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    pixels = np.full((SIDE, SIDE, 3), (205, 130, 185), np.uint8)
    path = tmp_path / "even.tif"
    tifffile.imwrite(
        path, pixels, photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER"
    )
    with open_slide(path) as slide, LabelStore.of(slide) as store:
        regions = store.on("regions")
        regions.write(FOLD, np.full(FOLD.shape, 1))
        regions.set_class([1], "Ignore*")
        store.write(SPECK, np.full(SPECK.shape, 1))
        store.set_class([1], "Artefact*")
    return path


def outlined(row, col, name=""):
    r0, c0, r1, c1 = row - 2, col - 2, row + 2, col + 2
    ring = [[c0, r0], [c1, r0], [c1, r1], [c0, r1], [c0, r0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "detection", "classification": {"name": name}},
    }


def written(path, features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture
def cells_file(tmp_path):
    places = [divmod(n, SIDE // STEP) for n in range(CELLS)]
    features = [outlined(10 + STEP * r, 10 + STEP * c, "a") for r, c in places]
    return written(tmp_path / "cells.geojson", features)


def test_the_dry_run_tells_them_and_the_count_is_without_them(
    slide_file, cells_file, tmp_path, capsys
):
    out = tmp_path / "out"
    command = ["import", str(slide_file), str(cells_file), "--into", "count", "--out", str(out)]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert said.out == f"added {LEFT} changed 0 removed 0 outside 0 repaired 0\n"
    assert "note: 18 imported cells in ignored areas left out." in said.err
    assert not out.exists()
    assert main(command) == 0
    assert capsys.readouterr().out == said.out
    at = read_cells(out / "cells.csv")
    assert len(at) == LEFT
    middles = set(zip(at.row.tolist(), at.col.tolist(), strict=True))
    owed = {(9.5 + STEP * r, 9.5 + STEP * c) for r in range(20) for c in range(20)}
    owed -= {(r, c) for r, c in owed if 100 < r < 200 and 40 < c < 100}
    owed -= {(r, 309.5) for r in (249.5, 269.5, 289.5)}
    assert middles == owed
    told = json.loads((out / "count.json").read_text())
    area = SIDE * SIDE - FOLD.area - SPECK.area
    assert told["analysed_mm2"] == pytest.approx(area * PX_MM2, rel=1e-9)
    assert told["cells"] == LEFT
    assert [name for name, _ in told["without"]] == ["Artefact* 1", "Ignore* 1"]


def test_the_window_tells_them_and_the_kept_count_is_without_them(slide_file, cells_file):
    with open_slide(slide_file) as slide:
        with LabelStore.of(slide) as store:
            wish = ImportRequest((cells_file,), ImportParams(into="count"))
            preview = look(slide, store, wish, Task())
        rows = dict(preview.rows)
        assert (rows["Cells of a new count"], rows["In ignored areas"]) == (LEFT, 18)
        assert preview.counted is not None
        work = keep_imported_count(slide, preview.counted, Task())
        owed = (SIDE * SIDE - FOLD.area - SPECK.area) * PX_MM2
        assert (len(work.cells), work.mm2[0]) == (LEFT, pytest.approx(owed))
        (stored,) = stored_counts(slide)
        again = open_count(slide, stored, Task())
        assert (len(again.cells), again.mm2) == (LEFT, pytest.approx(work.mm2))


def test_objects_of_an_ignored_class_are_no_cells(slide_file, tmp_path):
    features = [outlined(10, 10, "a"), outlined(10, 30, "Ignore*"), outlined(150, 70, "Ignore*")]
    path = written(tmp_path / "some.geojson", features)
    with open_slide(slide_file) as slide:
        plan = plan_count(slide, read_incoming(slide, path, Task()))
        assert (len(plan.cells.table), plan.ignored) == (1, 2)
        assert plan.cells.classes == ("a",)


def test_a_file_of_which_all_is_ignored_is_refused(slide_file, tmp_path):
    path = written(tmp_path / "some.geojson", [outlined(150, 70, "a"), outlined(130, 50)])
    with open_slide(slide_file) as slide:
        plan = plan_count(slide, read_incoming(slide, path, Task()))
        with pytest.raises(LabelError, match=r"All 2 cells of some\.geojson lie in ignored areas"):
            keep_imported_count(slide, plan, Task())
