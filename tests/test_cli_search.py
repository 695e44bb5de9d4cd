"""`histoprompt index` and `search` from a terminal, with the encoder that is always there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histoprompt import cli
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.pipelines.recipes.recipe import read_recipe

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
TUMOUR = 2
COLUMNS = ["slide", "row0", "col0", "row1", "col1", "score", "rank"]


@pytest.fixture(scope="module")
def regions() -> np.ndarray:
    import tifffile

    return np.asarray(tifffile.imread(SAMPLE / "regions.tif"))


def test_the_sample_slide_is_indexed_and_searched(tmp_path, capsys, regions):
    slide = SAMPLE / "slide.ome.tif"
    assert cli.main(["index", str(slide), "--device", "cpu", "--out", str(tmp_path / "ix")]) == 0
    with (tmp_path / "ix" / "tiles.csv").open(newline="") as file:
        tiles = list(csv.DictReader(file))
    assert len(tiles) == 22
    assert all(float(t["tissue"]) >= 0.5 for t in tiles)

    def share(row: dict[str, str]) -> float:
        box = Box(*(int(row[k]) for k in COLUMNS[1:5]))
        return float((regions[box.slices()] == TUMOUR).mean())

    example = max(tiles, key=share)
    box = ",".join(example[k] for k in COLUMNS[1:5])
    with open_slide(slide) as opened:
        crop = opened.read(Box(*map(int, box.split(","))))[0]
    Image.fromarray(crop).save(tmp_path / "crop.png")
    capsys.readouterr()
    for number, like in enumerate((box, str(tmp_path / "crop.png"))):
        out = tmp_path / str(number)
        line = ["search", str(slide), "--like", like, "--top", "5", "--out", str(out)]
        assert cli.main([*line, "--device", "cpu"]) == 0
        with (out / "hits.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == COLUMNS
        assert ",".join(rows[0][k] for k in COLUMNS[1:5]) == box
        assert float(rows[0]["score"]) > 0.95
        others = [t for t in tiles if t not in (example,)]
        usual = np.mean([share(t) for t in others])
        assert np.mean([share(r) for r in rows[1:]]) > usual
        assert (out / "gallery.html").read_text().count("<img") == 5
        (step,) = read_recipe(out / "recipe.toml").steps
        assert step.name == "search"
    assert "5 hits among 22 tiles" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--like", "0,0,9000,9000"], "lies outside"),
        (["--like", "1,2,3"], "is no box"),
        (["--like", "nowhere.png"], "does not exist"),
        (["--text", "tumour"], "knows no words"),
        (["--unlike", "0,0,9,9"], "Nothing says"),
        (["--like", "0,0,9,9", "--encoder", "histoprompt-cells"], "makes no vectors of tiles"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, capsys, more, said):
    slide = str(SAMPLE / "slide.ome.tif")
    out = tmp_path / "out"
    assert cli.main(["search", slide, *more, "--device", "cpu", "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert not out.exists() or not list(out.iterdir())


def test_a_slide_without_tissue_does_not_end_the_others(tmp_path, capsys):
    Image.fromarray(np.full((500, 500, 3), 244, np.uint8)).save(tmp_path / "glass.png")
    with open_slide(SAMPLE / "slide.ome.tif") as opened:
        part = opened.read(Box(0, 448, 896, 1344))[0]
    Image.fromarray(part).save(tmp_path / "part.png")
    names = [str(tmp_path / "part.png"), str(tmp_path / "glass.png")]
    line = ["search", *names, "--like", "0,0,448,448", "--mpp", "0.25", "--device", "cpu"]
    assert cli.main([*line, "--out", str(tmp_path / "out")]) == 1
    assert "no tissue was found" in capsys.readouterr().err
    with (tmp_path / "out" / "hits.csv").open(newline="") as file:
        assert {row["slide"] for row in csv.DictReader(file)} == {"part"}
