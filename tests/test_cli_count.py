"""`histoprompt count` and `histoprompt train` from the terminal."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

from histoprompt.cli import main
from histoprompt.core.sample import LABELS, SLIDE, sample_file


def test_count_writes_labels_and_a_table_for_each_slide(tmp_path, capsys):
    region = "1000,700,1200,956"
    slide = str(sample_file(SLIDE))
    assert main(["count", slide, "--out", str(tmp_path), "--region", region]) == 0
    labels = tifffile.imread(tmp_path / "slide" / "labels.tif")
    assert (labels.shape, labels.dtype) == ((200, 256), np.uint32)
    with (tmp_path / "slide" / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"id", "row", "col", "area_um2"}
    assert sorted(int(r["id"]) for r in rows) == [i for i in np.unique(labels).tolist() if i]
    areas = {int(r["id"]): float(r["area_um2"]) for r in rows}
    for value, area in areas.items():
        assert np.isclose(area, (labels == value).sum() * 0.25**2, atol=1e-3)
    assert all(1000 <= float(r["row"]) < 1200 and 700 <= float(r["col"]) < 956 for r in rows)
    truth = tifffile.imread(sample_file(LABELS))[1000:1200, 700:956]
    share = (truth[labels > 0] > 0).mean()
    assert share > 0.6
    assert f"{len(rows)} cells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "--mpp"),
        (["--mpp", "0.25", "--segmenter", "litemedsam"], "cells"),
        (["--mpp", "0.25", "--segmenter", "nobody"], "nobody"),
        (["--mpp", "0.25", "--region", "0,0,500,10"], "outside"),
    ],
)
def test_count_says_what_is_wrong_in_one_line(tmp_path, capsys, more, says):
    picture = tmp_path / "tile.png"
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(picture)
    assert main(["count", str(picture), "--out", str(tmp_path / "out"), *more]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.tif"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "--data"),
        (["--data", "nowhere", "--out", "x.safetensors"], "nowhere"),
        (["--config", "missing.toml"], "missing.toml"),
    ],
)
def test_train_says_what_is_wrong_in_one_line(tmp_path, capsys, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *args]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
