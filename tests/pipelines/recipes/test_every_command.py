"""Every command that writes results leaves a recipe beside them, or is listed here with why not."""

import argparse
from pathlib import Path

import pytest

from histoprompt import cli
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.cli.lazy import CommandParser
from histoprompt.core.readers.open import open_slide
from histoprompt.pipelines.recipes.recipe import read_recipe

REGION = "1200,1500,1328,1628"
TESTS = Path(__file__).resolve().parents[2]

# What writes results and leaves a recipe, and the file of tests that runs it and replays it.
REPLAYED = {
    "count": "pipelines/recipes/test_beside.py",
    "segment": "pipelines/recipes/test_beside.py",
    "export": "pipelines/recipes/test_beside.py",
    "score": "pipelines/recipes/test_beside.py",
    "audit draw": "pipelines/recipes/test_beside.py",
    "counts export": "pipelines/count/test_count_bridge.py",
    "index": "test_cli_search.py",
    "search": "test_cli_search.py",
    "anomaly": "pipelines/recipes/test_replay.py",
    "cluster": "pipelines/recipes/test_replay.py",
    "tiles apply": "pipelines/recipes/test_replay.py",
    "concepts apply": "test_cli_concepts.py",
    "tag": "pipelines/tags/test_tags.py",
    "detect apply": "pipelines/tags/test_tags.py",
    "align": "pipelines/align/test_align.py",
    "relate": "test_cli_relate.py",
    "run": "pipelines/recipes/test_beside.py",
}
# What is run below.
HERE = ("classify apply", "classify dab", "labels export")
_MODEL = "it writes a file of what was learnt, which steps name and whose digest recipes keep"
WITHOUT = {
    "classify fit": _MODEL,
    "tiles fit": _MODEL,
    "concepts fit": _MODEL,
    "detect fit": _MODEL,
    "train": f"{_MODEL}; its settings are in the file",
    "models export": "it packs weights for another machine",
    "import": "the objects are those of a file, which count.json names with its format and digest",
    "counts spatial": "a table of a count, under the recipe that lies beside it",
    "audit apply": "a person's answers; the draw has its recipe",
    "project summary": "a table of results, each under a recipe of its own",
    "bench nuclei": "figures of a model, not results of a slide",
    "bench prompts": "figures of a model, not results of a slide",
    "bench text": "figures of a model, not results of a slide",
    "demo": "a walk through the sample slide",
    "words choose": "wordings for a file of tags, which a person edits",
    "words draft": "wordings for a file of tags, which a person edits",
}


def leaves(parser, name=""):
    """All commands without others below them, by their names."""
    if isinstance(parser, CommandParser):
        parser.fill()
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        return {name: parser}
    return {
        full: leaf
        for action in below
        for word, child in action.choices.items()
        for full, leaf in leaves(child, f"{name} {word}".strip()).items()
    }


LEAVES = leaves(cli.build_parser())


def test_every_command_with_a_place_for_results_is_known():
    writing = {n for n, p in LEAVES.items() if any(a.dest == "out" for a in p._actions)}
    known = {*REPLAYED, *HERE, *WITHOUT}
    assert writing <= known, f"Do they leave a recipe? {sorted(writing - known)}"
    assert known <= set(LEAVES), f"No such commands: {sorted(known - set(LEAVES))}"


@pytest.mark.parametrize("name", REPLAYED)
def test_the_tests_that_are_named_run_the_command_and_look_at_its_recipe(name):
    text = (TESTS / REPLAYED[name]).read_text(encoding="utf-8")
    assert "recipe.toml" in text or "read_recipe" in text or "RECIPE" in text
    assert all(f'"{word}"' in text for word in name.split()[:1])


@pytest.fixture
def cells(tmp_path):
    rows = [f"{i},1,1,30,{dab}" for i, dab in enumerate([0.1, 0.2, 0.35, 0.5, 0.9], start=1)]
    path = tmp_path / "some_cells.csv"
    path.write_text("\n".join(["id,row,col,area_um2,dab_mean", *rows]) + "\n")
    return path


def replayed(recipe, slide, folder):
    assert main(["run", str(recipe), str(slide), "--into", str(folder)]) == 0
    return folder


def test_classes_by_dab(cells, tmp_path, sample_slide):
    out = tmp_path / "graded.csv"
    given = ["--cells", str(cells), "--weak", "0.3", "--graded", "--out", str(out)]
    assert main(["classify", "dab", *given]) == 0
    (step,) = read_recipe(tmp_path / "recipe.toml").steps
    assert (step.name, step.params.dab, step.params.graded) == ("classify", True, True)
    assert (step.params.weak, step.params.cells) == (0.3, cells.absolute())
    again = replayed(tmp_path / "recipe.toml", sample_slide, tmp_path / "again")
    assert (again / "classify" / "cells.csv").read_bytes() == out.read_bytes()
    assert main(["methods", str(tmp_path / "recipe.toml")]) == 0


def test_classes_of_a_classifier(tmp_path, sample_slide):
    rows = [f"{i},1,1,{30 + 60 * (i % 2)},{0.1 + 0.8 * (i % 2)}" for i in range(1, 41)]
    cells, labels = tmp_path / "some_cells.csv", tmp_path / "labels.csv"
    cells.write_text("\n".join(["id,row,col,area_um2,dab_mean", *rows]) + "\n")
    labels.write_text("id,class\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(1, 17)))
    fit = ["--cells", str(cells), "--labels", str(labels), "--out", str(tmp_path / "learnt")]
    assert main(["classify", "fit", *fit]) == 0
    out = tmp_path / "applied" / "out.csv"
    out.parent.mkdir()
    given = ["--cells", str(cells), "--classifier", str(tmp_path / "learnt"), "--out", str(out)]
    assert main(["classify", "apply", *given]) == 0
    again = replayed(out.parent / "recipe.toml", sample_slide, tmp_path / "again")
    assert (again / "classify" / "cells.csv").read_bytes() == out.read_bytes()


def test_export_of_committed_objects(tmp_path, sample_slide, monkeypatch):
    import numpy as np

    from histoprompt.core.geometry import Box

    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    with open_slide(sample_slide) as slide, LabelStore.of(slide) as store:
        store.write(Box(10, 10, 30, 30), np.full((20, 20), 5))
    out = tmp_path / "out"
    given = [str(sample_slide), "--format", "geojson", "--out", str(out)]
    assert main(["labels", "export", *given]) == 0
    (step,) = read_recipe(out / "recipe.toml").steps
    assert (step.name, step.params.from_store) == ("export", True)
    again = replayed(out / "recipe.toml", sample_slide, tmp_path / "again") / "export"
    assert (again / "objects.geojson").read_bytes() == (out / "objects.geojson").read_bytes()
