"""Every state of a slide in a project, one after the other, and its neighbour without any."""

import csv
import json

import numpy as np
import pytest

import bands
import killing
from histoprompt.annotations.place import store_folder
from histoprompt.annotations.store import LabelStore
from histoprompt.cli import main
from histoprompt.core.geometry import Box
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.pipelines.count.step import CountParams
from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.overview.status import states
from histoprompt.pipelines.project.check import filled
from histoprompt.pipelines.project.project import add_slides, new_project, open_project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.recipes.engines import Scheduler
from histoprompt.pipelines.recipes.recipe import RecipeStep, made_recipe
from histoprompt.pipelines.recipes.run import run_recipe
from histoprompt.pipelines.recipes.unit import Unit

# One field of an audit, which the model sees in one window.
pytestmark = pytest.mark.usefixtures("small_windows")

COUNT = CountParams(segmenter="classical-cells", tile=256, region=(144, 144, 344, 344))


@pytest.fixture(autouse=True)
def _bands_are_known(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "_ZOO", (*registry._ZOO, ("bands", "CARD")))
    registry._known_cards.cache_clear()
    yield
    registry._known_cards.cache_clear()


def test_a_slide_goes_through_all_states(tmp_path, capsys):
    paths = killing.make_slides(tmp_path / "slides", 2)
    lines = [ProjectSlide(path.stem, str(path)) for path in paths]
    project, _ = add_slides(new_project(tmp_path / "study"), lines)
    project = filled(project, Task())
    mine = project.slides[0]

    def words():
        first, second = states(open_project(project.folder))
        assert second.words == ()
        return first.words

    assert words() == ()
    with project.open(mine) as slide:
        with LabelStore.open(store_folder(slide.key), slide.shape, slide.key) as store:
            store.write(Box(0, 0, 4, 4), np.ones((4, 4), np.uint32))
        assert words() == ("labelled",)
        unit = Unit(mine.id, str(paths[0]), str(project.results(mine)), "")
        recipe = made_recipe((RecipeStep("count", COUNT),))
        ran = run_recipe(recipe, [unit], project.folder / "run", Scheduler("here"), Task())
        assert not ran.failed
        assert words() == ("labelled", "counted")
        build_index(slide, IndexParams(encoder="bands"), bands.manager_of(bands.Bands()), Task())
    assert words() == ("labelled", "counted", "indexed")
    folder = project.results(mine) / "count"
    assert main(["audit", "draw", str(folder), "--fields", "1", "--seed", "1"]) == 0
    assert words() == ("labelled", "counted", "indexed")
    _fill(folder / "fields.csv")
    filled_in = ["--fields", str(folder / "fields.csv")]
    assert main(["audit", "apply", str(folder), *filled_in]) == 0
    assert words() == ("labelled", "counted", "indexed", "audited")
    made = json.loads((folder / "count.json").read_text())
    (folder / "count.json").write_text(json.dumps({**made, "notes": ["pale"], "complete": False}))
    first, _ = states(open_project(project.folder))
    assert first.words == ("labelled", "partly counted", "indexed", "audited")
    assert (first.notes, first.objects, first.cells) == (("pale",), 1, made["cells"])
    capsys.readouterr()
    assert main(["project", "status", str(project.folder)]) == 0
    told = capsys.readouterr().out
    assert "labelled, partly counted, indexed, audited" in told
    paths[0].unlink()
    assert words() == ("missing", *first.words)


def _fill(path):
    """Say of each field that all of its cells are there."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "true cells": row["found cells"]} for row in rows)
