"""The chain of two commands with a CLIP of the published layout: words, regions, cells, counts."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from small_models import save_small, small_networks

from histoprompt import cli
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.models import registry


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", ["vocabulary", "plip"])
def test_score_and_count_agree_on_every_region(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    slide, out = str(sample_file(SLIDE)), tmp_path / "words"
    own = []
    if model != "vocabulary":
        own = ["--weights", str(save_small(registry.card(model), tmp_path)), "--threshold", "0.05"]
    texts = ["--text", "tumour", "--text", "stroma", "--templates", "plip"]
    cells = ["--count", "--cell-text", "tumour", "--cell-text", "lymphocyte"]
    here = ["--device", "cpu", "--region", "256,256,768,768"]
    with small_networks():
        asked = ["score", slide, "--model", model, *own, *texts, *cells, *here, "--out", str(out)]
        assert cli.main(asked) == 0
    regions = str(out / "regions.geojson")
    again = ["count", slide, "--regions", regions, "--device", "cpu", "--out", str(tmp_path / "n")]
    assert cli.main(again) == 0
    by_words: Counter[str] = Counter()
    for row in rows(out / "region_counts.csv"):
        by_words[row["region"]] += int(row["cells"])
    (folder,) = (tmp_path / "n").iterdir()
    counted = {row["region"]: row for row in rows(folder / "counts.csv")}
    total = int(counted.pop("all")["count"])
    assert by_words == {name: int(row["count"]) for name, row in counted.items()}
    assert 0 < total == len(rows(out / "region_cells.csv")) == len(rows(folder / "cells.csv"))
    areas = {row["region"]: float(row["mm2"]) for row in rows(out / "region_counts.csv")}
    assert areas == {name: float(row["analysed_mm2"]) for name, row in counted.items()}
    classes = {row["class"] for row in rows(out / "region_cells.csv")}
    assert classes <= {"tumour", "lymphocyte", "unsure"}
