"""`histoprompt count` and `histoprompt train` from the terminal."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import LABELS, SLIDE, sample_file

FILES = {
    "labels.tif", "cells.csv", "cells.parquet", "counts.csv", "cells.geojson", "report.html",
    "count.json", "recipe.toml",
}  # fmt: skip


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A part of the sample slide as a PNG, which states no pixel size."""
    pixels = tifffile.imread(sample_file(SLIDE))[1000:1300, 700:1056]
    path = tmp_path_factory.mktemp("pictures") / "tile.png"
    Image.fromarray(pixels).save(path)
    return path


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_count_writes_labels_and_tables_for_each_slide(tmp_path, capsys):
    region = "1000,700,1200,956"
    slide = str(sample_file(SLIDE))
    assert main(["count", slide, "--out", str(tmp_path), "--region", region]) == 0
    folder = tmp_path / "slide"
    assert {p.name for p in folder.iterdir()} == FILES
    labels = tifffile.imread(folder / "labels.tif")
    assert (labels.shape, labels.dtype) == ((200, 256), np.uint32)
    rows = rows_of(folder / "cells.csv")
    assert list(rows[0])[:6] == ["id", "row", "col", "area_um2", "class", "score"]
    assert sorted(int(r["id"]) for r in rows) == [i for i in np.unique(labels).tolist() if i]
    areas = {int(r["id"]): float(r["area_um2"]) for r in rows}
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    for value, area in areas.items():
        shown = (labels == value).sum() * 0.25**2
        # a nucleus at the edge of a chosen region has its whole area, though its label ends there
        assert area >= shown - 1e-3 if value in edge else np.isclose(area, shown, atol=1e-3)
    assert all(1000 <= float(r["row"]) < 1200 and 700 <= float(r["col"]) < 956 for r in rows)
    truth = tifffile.imread(sample_file(LABELS))[1000:1200, 700:956]
    assert (truth[labels > 0] > 0).mean() > 0.6
    assert f"{len(rows)} cells" in capsys.readouterr().out
    made = json.loads((folder / "count.json").read_text())
    assert (made["segmenter"], made["mpp"], made["mpp_source"]) == (
        "histoprompt-cells", 0.25, "file",
    )  # fmt: skip
    assert made["weights"].startswith("sha256:")


def test_pictures_of_one_name_and_a_broken_one(tmp_path, capsys, picture):
    other = tmp_path / "other" / "tile.png"
    other.parent.mkdir()
    shutil.copy(picture, other)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    slides = [str(p) for p in (broken, picture, other)]
    out, more = tmp_path / "out", ["--mpp", "0.25", "--segmenter", "classical-cells"]
    assert main(["count", *slides, "--out", str(out), *more]) == 1
    said = capsys.readouterr()
    assert said.err.count("histoprompt:") == 1
    assert "broken.png" in said.err
    assert {p.name for p in out.iterdir()} == {"tile", "tile-2"}
    texts = [(out / f / "cells.csv").read_text() for f in ("tile", "tile-2")]
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) > 5


def test_positive_cells_of_an_immunostain(tmp_path, capsys, shared_data):
    slide = str(shared_data / "slides" / "OS-2-ndpi.ome.tif")
    args = ["--region", "800,800,1200,1200", "--segmenter", "classical-cells", "--dab"]
    assert main(["count", slide, "--out", str(tmp_path), *args]) == 0
    rows = rows_of(tmp_path / "OS-2-ndpi" / "counts.csv")
    counts = {r["class"]: int(r["count"]) for r in rows}
    assert counts["all"] == counts["negative"] + counts["positive"]
    assert 0 < counts["positive"] < counts["negative"]
    assert sum(float(r["share"]) for r in rows[1:]) == pytest.approx(1, abs=1e-5)
    assert "H-score" in (tmp_path / "OS-2-ndpi" / "report.html").read_text()
    assert f"{counts['positive']} positive" in capsys.readouterr().out
    colours = json.loads((tmp_path / "OS-2-ndpi" / "cells.geojson").read_text())["features"]
    assert {f["properties"]["classification"]["name"] for f in colours} == {"negative", "positive"}


def test_classes_learnt_from_a_count_are_those_of_the_next(tmp_path, picture):
    base = ["count", str(picture), "--mpp", "0.25", "--segmenter", "classical-cells", "--out"]
    assert main([*base, str(tmp_path / "a")]) == 0
    rows = rows_of(tmp_path / "a" / "tile" / "cells.csv")
    rows.sort(key=lambda r: float(r["area_um2"]))
    lines = ["id,class", *(f"{r['id']},small" for r in rows[:5])]
    lines += [f"{r['id']},large" for r in rows[-5:]]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    model = tmp_path / "size.hpc"
    fit = ["--cells", str(tmp_path / "a" / "tile" / "cells.csv")]
    fit += ["--labels", str(tmp_path / "labels.csv"), "--out", str(model)]
    assert main(["classify", "fit", *fit]) == 0
    assert main([*base, str(tmp_path / "b"), "--classifier", str(model)]) == 0
    found = rows_of(tmp_path / "b" / "tile" / "cells.csv")
    classes = {r["id"]: r["class"] for r in found}
    assert {classes[r["id"]] for r in rows[:5]} <= {"small", "unsure"}
    assert {classes[r["id"]] for r in rows[-5:]} <= {"large", "unsure"}
    assert {"small", "large"} <= set(classes.values())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "--mpp"),
        (["--mpp", "0.25", "--segmenter", "nobody"], "nobody"),
        (["--mpp", "0.25", "--region", "0,0,500,10"], "outside"),
        (["--mpp", "0.25"], "no tissue"),
        (["--mpp", "0.25", "--segmenter", "litemedsam", "--proposer", "classical"], "classical"),
        (["--mpp", "0.25", "--regions", "nowhere.geojson"], "nowhere.geojson"),
        (["--mpp", "0.25", "--classifier", "nowhere.hpc"], "nowhere.hpc"),
    ],
)
def test_count_says_what_is_wrong_in_one_line(tmp_path, capsys, more, says):
    picture = tmp_path / "tile.png"
    Image.fromarray(np.full((64, 64, 3), 240, np.uint8)).save(picture)
    assert main(["count", str(picture), "--out", str(tmp_path / "out"), *more]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "--data"),
        (["--data", "nowhere", "--out", "x.safetensors"], "nowhere"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--image", "nowhere.svs"], "nowhere.svs"),
        (["--image", "a.svs", "--data", "b"], "not both"),
        (["--image", "a.svs", "--name", "/"], "name"),
    ],
)
def test_train_says_what_is_wrong_in_one_line(tmp_path, capsys, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *args]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("labels", "says"), [("store", "There are no labels"), ("labels.tif", "tiles of 1024 px hold")]
)
def test_train_learns_from_the_labels_of_a_slide(tmp_path, capsys, monkeypatch, labels, says):
    """As far as it goes with too few of them: what it learns is tested where it is learnt."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save("slide.png")
    Image.fromarray(np.pad(np.ones((9, 9), np.uint16), (0, 291))).save("labels.tif")
    words = ["--image", "slide.png", "--mpp", "0.25", "--tile-side", "1024", "--labels", labels]
    assert main(["train", *words]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in error


def test_cells_are_counted_in_committed_regions_of_a_class(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    path = sample_file(SLIDE)
    slide = open_slide(path)
    with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
        regions = store.on("regions")
        regions.write(Box(1000, 700, 1150, 850), np.full((150, 150), 1))
        regions.write(Box(0, 0, 50, 50), np.full((50, 50), 2))
        regions.set_class([1], "tumour")
    asked = ["count", str(path), "--out", str(tmp_path / "out"), "--in-regions"]
    assert main([*asked, "stroma"]) == 1
    assert "no committed region of the class 'stroma'" in capsys.readouterr().err
    assert main([*asked, "tumour"]) == 0
    rows = rows_of(tmp_path / "out" / "slide" / "cells.csv")
    assert rows
    assert all(999.5 <= float(r["row"]) < 1149.5 for r in rows)
    assert all(699.5 <= float(r["col"]) < 849.5 for r in rows)
    counted = {row["region"] for row in rows_of(tmp_path / "out" / "slide" / "counts.csv")}
    assert counted == {"all", "tumour 1"}
