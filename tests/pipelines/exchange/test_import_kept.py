"""What an import keeps beside outlines: nuclei of cells, measurements, colours, the corner."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.into_count import plan_count
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.exchange.stacked import stacked
from histoprompt.pipelines.formats.cell_files import read_cells

SHAPE = (300, 420)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))


@pytest.fixture
def slide_file(tmp_path):
    """A slide as libvips writes one that OpenSlide opened: its scan starts at row 40, column 25."""
    image = np.random.default_rng(0).integers(120, 255, (*SHAPE, 3), dtype=np.uint8)
    said = "".join(
        f"<property><name>openslide.bounds-{axis}</name>"
        f'<value type="VipsRefString">{value}</value></property>'
        for axis, value in (("x", 25), ("y", 40), ("width", 300))
    )
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path, image, photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
        description=f"<image><properties>{said}</properties></image>",
    )  # fmt: skip
    return path


@contextmanager
def opened(path):
    with (
        open_slide(path) as slide,
        LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store,
    ):
        yield store


def ring(r, c, side):
    return {
        "type": "Polygon",
        "coordinates": [[[c, r], [c + side, r], [c + side, r + side], [c, r + side], [c, r]]],
    }


def cell(place, name, nucleus=None, measured=None):
    feature = {
        "type": "Feature",
        "geometry": ring(*place),
        "properties": {
            "objectType": "cell",
            "classification": {"name": name, "color": [200, 10, 20 + len(name)]},
            "measurements": measured or {},
        },
    }
    if nucleus is not None:
        feature["nucleusGeometry"] = ring(*nucleus)
    return feature


@pytest.fixture
def cells_file(tmp_path):
    features = [
        cell((20, 20, 30), "Tumor", (28, 28, 12), {"Nucleus: DAB mean": 0.25, "Cell: Area": 900.5}),
        cell((20, 80, 20), "Stroma", None, {"Cell: Area": 400.0, "Area µm^2": 7, "area_um2": 7}),
        cell((80, 20, 24), "Tumor", (86, 86, 10), {"Nucleus: DAB mean": float("nan")}),
    ]
    features[2]["nucleusGeometry"] = ring(86, 26, 10)
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_count_takes_nuclei_and_labels_take_cells(slide_file, cells_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(["import", str(slide_file), str(cells_file), "--into", "count", "--out", str(out)])
        == 0
    )
    assert "outlines 2 cells with their nuclei; the nuclei are counted" in capsys.readouterr().err
    table = read_cells(out / "cells.csv")
    assert sorted(np.rint(table.area_um2 / 0.25).tolist()) == [100, 144, 400]
    assert "nuclei are counted" in (out / "report.html").read_text()
    assert main(["import", str(slide_file), str(cells_file)]) == 0
    assert "the outlines of the cells are kept" in capsys.readouterr().err
    with opened(slide_file) as store:
        assert [r.area_px for r in store.objects()] == [900, 400, 576]
        told = [r.info.get("measurements") for r in store.objects()]
        assert told == [
            {"Nucleus: DAB mean": 0.25, "Cell: Area": 900.5}, {"Cell: Area": 400.0}, None,
        ]  # fmt: skip
        assert all(r.info["imported from"] == "cells.geojson" for r in store.objects())
        store.undo()
        assert not len(store.ids())


def test_measurements_are_columns_of_a_count_and_colours_are_kept(slide_file, cells_file, tmp_path):
    out = tmp_path / "out"
    assert (
        main(["import", str(slide_file), str(cells_file), "--into", "count", "--out", str(out)])
        == 0
    )
    table = read_cells(out / "cells.csv")
    pixels = np.rint(table.area_um2 / 0.25).astype(int).tolist()
    names = list(table.feature_names)
    assert names[-2:] == ["Nucleus: DAB mean", "Cell: Area"]
    assert "Area µm^2" not in names, "what a count measures itself is not taken from the file"
    dab, area = (table.features[:, names.index(n)] for n in names[-2:])
    found = {p: (d, a) for p, d, a in zip(pixels, dab.tolist(), area.tolist(), strict=True)}
    assert found[144] == (0.25, 900.5)
    assert np.isnan(found[400][0])
    assert found[400][1] == 400
    assert np.isnan(found[100]).all()
    features = json.loads((out / "cells.geojson").read_text())["features"]
    colours = {
        f["properties"]["classification"]["name"]: f["properties"]["classification"]["color"]
        for f in features
    }
    assert colours == {"Tumor": [200, 10, 25], "Stroma": [200, 10, 26]}
    assert any(f["properties"]["measurements"].get("Cell: Area") == 900.5 for f in features)
    for colour in ("#c80a19", "rgb(200, 10, 25)", "rgb(200,10,25)", "200, 10, 25"):
        if colour in (out / "report.html").read_text():
            break
    else:
        pytest.fail("the report shows the classes in other colours")


def test_measurements_of_several_files_stay_with_their_objects(cells_file, tmp_path):
    image = np.zeros((*SHAPE, 3), np.uint8)
    slide = Slide.from_arrays("a slide", image, mpp=0.5)
    other = tmp_path / "other.geojson"
    feature = cell((150, 150, 20), "Tumor", None, {"Other": 3.5, "Cell: Area": 1.0})
    other.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    both = stacked([read_incoming(slide, p, Task()) for p in (cells_file, other)], SHAPE, Task())
    names = both.measured.names
    assert names == ("Nucleus: DAB mean", "Cell: Area", "Other")
    (values,) = both.measured.of(np.array([4]))
    assert np.isnan(values[0])
    assert values[1:].tolist() == [1.0, 3.5]
    plan = plan_count(slide, both)
    assert plan.cells.described.shape == (4, 3)


def test_positions_count_from_the_corner_of_the_scanned_part(
    slide_file, cells_file, tmp_path, capsys
):
    command = ["import", str(slide_file), str(cells_file), "--offset"]
    assert main([*command, "bounds"]) == 0
    with opened(slide_file) as store:
        assert store.box_of(1) == Box(60, 45, 90, 75)
        store.undo()
    assert main([*command, "40,25"]) == 0
    with opened(slide_file) as store:
        assert store.box_of(1) == Box(60, 45, 90, 75)
    bare = Slide.from_arrays("bare", np.zeros((*SHAPE, 3), np.uint8), mpp=0.5)
    with pytest.raises(
        LabelError, match=r"does not state openslide\.bounds-y and openslide\.bounds-x"
    ):
        read_incoming(bare, cells_file, Task(), ImportParams(offset=()))
    with pytest.raises(SystemExit):
        main([*command, "corner"])
    with pytest.raises(LabelError, match="two numbers"):
        ImportParams(offset=(1.0,))


def test_an_imported_count_is_classified_and_audited_as_one_made_here(slide_file, tmp_path, capsys):
    """Small cells are of class a, large ones of class b; only half have the file's measurement."""
    features = []
    for i in range(40):
        row, col, side = 10 + 35 * (i // 8), 10 + 50 * (i % 8), 9 + 12 * (i % 2)
        measured = {"Roundness": 0.5} if i < 20 else {}
        features.append(cell((row, col, side), "", None, measured))
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    out, trained = tmp_path / "out", tmp_path / "trained"
    command = ["import", str(slide_file), str(path), "--into", "count", "--out", str(out)]
    assert main(command) == 0
    cells = read_cells(out / "cells.csv")
    assert set(cells.class_names) == {""}
    truth = np.where(cells.area_um2 > 50, "b", "a")
    rows = [f"{i},{name}\n" for i, name in zip(cells.id[:16].tolist(), truth[:16], strict=True)]
    (tmp_path / "labels.csv").write_text("id,class\n" + "".join(rows))
    given = ["--cells", str(out / "cells.csv")]
    fit = ["classify", "fit", *given, "--labels", str(tmp_path / "labels.csv")]
    assert main([*fit, "--out", str(trained)]) == 0
    apply = ["classify", "apply", *given, "--classifier", str(trained)]
    assert main([*apply, "--out", str(tmp_path / "classified.csv")]) == 0
    found = read_cells(tmp_path / "classified.csv")
    assert (np.array(found.class_names) == truth).mean() > 0.9
    assert main(["audit", "draw", str(out), "--fields", "2", "--seed", "1"]) == 0
    assert "Traceback" not in capsys.readouterr().err
