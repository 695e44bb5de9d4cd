"""`histoprompt score` from words to files, and one line for every mistake."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histoprompt import cli
from histoprompt.core.scores.files import read_scores
from histoprompt.models import registry
from histoprompt.pipelines.text.tile_label_file import write_marks
from two_colours import CARD, two_colours


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    slide = two_colours()
    path = tmp_path_factory.mktemp("slides") / "two.png"
    Image.fromarray(slide.read(slide.box)[0]).save(path)
    return path


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    cards = (*registry.all_cards(), CARD)
    monkeypatch.setattr(registry, "all_cards", lambda: cards)


def run(picture: Path, out: Path, *more: str, beside: tuple[Path, ...] = ()) -> int:
    slides = map(str, (picture, *beside))
    words = ("--model", "colours", "--text", "purple", "--contrast", "pink", "--mpp", "0.5")
    return cli.main(["score", *slides, *words, "--out", str(out), "--device", "cpu", *more])


def test_words_become_files(picture, tmp_path, capsys):
    assert run(picture, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "purple: threshold 0.50, even odds against pink; no tile was marked" in said
    assert "1 region " in said
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {
        "scores.zarr", "heatmap_1.tif", "tiles.csv", "regions.geojson", "recipe.toml",
    }  # fmt: skip
    (region,) = json.loads((tmp_path / "out" / "regions.geojson").read_text())["features"]
    facts = region["properties"]
    assert facts["classification"]["name"] == "purple"
    assert facts["measurements"]["Score"] > 0.9
    assert "even odds" in facts["metadata"]["threshold from"]
    assert facts["metadata"]["model"] == "colours"


def test_marks_move_the_threshold(picture, tmp_path, capsys):
    run(picture, tmp_path / "out")
    scores = read_scores(tmp_path / "out" / "scores.zarr")
    tiles = scores.top("purple", len(scores))
    marks = {int(tiles[i]): i >= 0 for i in (0, 1, 2, -1, -2, -3)}
    write_marks(tmp_path / "marks.csv", {"purple": marks}, scores)
    assert run(picture, tmp_path / "marked", "--marks", str(tmp_path / "marks.csv")) == 0
    assert "6 marks (3 yes, 3 no)" in capsys.readouterr().out
    changed = read_scores(tmp_path / "marked" / "scores.zarr")
    assert "probe" in changed.thresholds["purple"].origin
    assert not np.array_equal(changed.scores, scores.scores)


def test_a_typed_threshold_holds(picture, tmp_path):
    assert run(picture, tmp_path / "out", "--threshold", "0", "--overlap", "2") == 0
    with (tmp_path / "out" / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["in purple"] for row in rows} == {"1"}


def test_several_slides_get_a_folder_each(picture, tmp_path):
    other = tmp_path / "two.png"
    other.write_bytes(picture.read_bytes())
    part = ("--region", "0,0,200,300")
    assert run(picture, tmp_path / "out", *part, beside=(other,)) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"two", "two-2"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--text", ""), "empty"),
        (("--text", "green"), "knows pink, purple"),
        (("--text", "Purple"), "twice"),
        (("--region", "0,0,10,9000"), "outside"),
        (("--region", "0,470,100,512"), "No tissue"),
        (("--threshold", "7"), "between 0 and 1"),
        (("--marks", "nowhere.csv"), "cannot be read"),
        (("--model", "litemedsam"), "role text"),
        (("--model", "none"), "no model"),
        (("--threshold", "1", "--temperature", "50", "--count"), "no region"),
    ],
)
def test_mistakes_are_one_line(picture, tmp_path, capsys, more, said):
    assert run(picture, tmp_path / "out", *more) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--scales", "1,x"), "--scales: '1,x' is not a number"),
        (("--scales", "1,99"), "lie between 0.25 and 16"),
        (("--overlap", "9"), "lie between 1 and 8"),
    ],
)
def test_values_that_cannot_be_are_wrong_usage(picture, tmp_path, capsys, more, said):
    with pytest.raises(SystemExit) as caught:
        run(picture, tmp_path / "out", *more)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_picture_without_scale_is_refused(picture, tmp_path, capsys):
    args = ["score", str(picture), "--text", "fat", "--out", str(tmp_path / "out")]
    assert cli.main(args) == 1
    assert "--mpp" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_word_list_says_what_it_knows(picture, tmp_path, capsys):
    args = ["score", str(picture), "--mpp", "0.5", "--text", "osteoclast", "--out", str(tmp_path)]
    assert cli.main(args) == 1
    assert "plip" in capsys.readouterr().err
