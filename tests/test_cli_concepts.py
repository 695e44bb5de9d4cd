"""`histoprompt concepts` from a terminal, on the sample slide with the word list."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile

from histoprompt import cli
from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.recipes.recipe import read_recipe
from histoprompt.pipelines.recipes.step import StepInput

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
SLIDE = SAMPLE / "slide.ome.tif"
NAMES = {1: "stroma", 2: "tumour", 4: "gland"}


def run(*words: object) -> int:
    return cli.main(["concepts", *map(str, words), "--device", "cpu"])


@cache
def truth() -> np.ndarray:
    return np.asarray(tifffile.imread(SAMPLE / "regions.tif"))


def main_class(row: dict[str, str]) -> str:
    r0, c0, r1, c1 = (int(row[k]) for k in ("row0", "col0", "row1", "col1"))
    return NAMES.get(int(np.bincount(truth()[r0:r1, c0:c1].ravel()).argmax()), "")


def write_marks(path: Path, names: dict[int, str] = NAMES) -> Path:
    rows, count = ["slide,row,col,class"], dict.fromkeys(names, 0)
    for r in range(128, truth().shape[0] - 128, 256):
        for c in range(128, truth().shape[1] - 128, 256):
            around = np.bincount(truth()[r - 128 : r + 128, c - 128 : c + 128].ravel(), minlength=6)
            code = int(around.argmax())
            if code in names and around[code] > 0.5 * 256**2 and count[code] < 8:
                count[code] += 1
                rows.append(f"{SLIDE},{r},{c},{names[code]}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_concepts_are_learnt_struck_out_and_told(tmp_path, capsys):
    marks, kept = write_marks(tmp_path / "marks.csv"), tmp_path / "c.json"
    words = tmp_path / "words.txt"
    words.write_text("# seen\nghost cells\n")
    line = ["fit", "--marks", marks, "--phrases", "tumour; wine glass", "--phrases-file", words]
    assert run(*line, "--strike", "nuclei", "blue density", "--out", kept) == 0
    told = capsys.readouterr()
    assert "'wine glass' is left out" in told.err
    assert "understood as necrosis" in told.err
    assert "nuclei, blue density struck out: balanced accuracy" in told.out
    data = json.loads(kept.read_text())
    assert [c["name"] for c in data["concepts"][:3]] == ["tumour", "necrosis", "white"]
    assert data["struck"] == ["nuclei", "blue density"]
    assert data["left_out"]["balanced_accuracy"] > 0.7
    out = tmp_path / "out"
    assert run("apply", SLIDE, "--concepts", kept, "--out", out) == 0
    with (out / "tiles.csv").open(newline="") as file:
        rows = [(row, main_class(row)) for row in csv.DictReader(file)]
    right = [row["class"] == name for row, name in rows if name]
    assert np.mean(right) > 0.8
    names = {c["name"] for c in data["concepts"]}
    assert {row["decided_by"] for row, _ in rows} <= names | {""}
    (step,) = read_recipe(out / "recipe.toml").steps
    assert step.name == "concepts"
    with open_slide(SLIDE) as slide:
        given = StepInput(slide, tmp_path, ModelManager(device="cpu"), Task())
        done = step.step.run(given, step.params, tmp_path / "again")
    assert set(done.numbers) == {"gland mm2", "stroma mm2", "tumour mm2"}
    for name in ("concepts.csv", "regions.geojson"):
        assert (tmp_path / "again" / name).exists()
    again = (tmp_path / "again" / "tiles.csv").read_text().splitlines()
    first = (out / "tiles.csv").read_text().splitlines()
    assert [x.split(",")[1:] for x in again] == [x.split(",")[1:] for x in first]


@pytest.mark.parametrize(
    ("more", "names", "told"),
    [
        (("--phrases", "wine glass"), NAMES, "No phrase is known"),
        (("--strike", "aura"), NAMES, "no concept 'aura'"),
        (("--no-measured",), NAMES, "There is no concept"),
        ((), {2: "tumour"}, "one class, tumour"),
        (("--encoder", "efficientnet-lite0", "--phrases", "fat"), NAMES, "knows no words"),
    ],
    ids=["phrase", "strike", "nothing", "one class", "no words"],
)
def test_faults_are_one_line(more, names, told, tmp_path, capsys):
    marks = write_marks(tmp_path / "marks.csv", names)
    assert run("fit", "--marks", marks, *more, "--out", tmp_path / "c.json") == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert told in said
    assert not (tmp_path / "c.json").exists()
    assert run("apply", SLIDE, "--out", tmp_path / "out") == 1
    assert "Concepts: no file is given" in capsys.readouterr().err
