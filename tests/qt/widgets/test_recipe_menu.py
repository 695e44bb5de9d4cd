"""What a dock would do, as a recipe and as a command: both give what the dock gives."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.exchange.dock import ExportDock
from histoprompt._qt.exchange.import_dock import ImportDock
from histoprompt._qt.layers.make import box_vertices
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.reader import read
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.text.dock import TextDock
from histoprompt.cli import main
from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import read_labels
from histoprompt.pipelines.recipes.recipe import read_recipe

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

PLACE = Box(1200, 1500, 1328, 1628)


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path, sample_slide):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.chdir(tmp_path)
    viewer = make_napari_viewer()
    for data, arguments, _ in read(sample_slide):
        viewer.add_image(data, **arguments)
    yield viewer
    session_of(viewer).close()


def dock_in(viewer, kind):
    dock = kind(viewer)
    viewer.window.add_dock_widget(dock, name=kind.__name__)
    return dock


def copied(dock):
    """The words that the dock put on the clipboard."""
    QApplication.clipboard().clear()
    dock.recipe.copying.trigger()
    words = shlex.split(QApplication.clipboard().text())
    assert words, dock.report.status.text()
    assert words[0] == "histoprompt"
    assert "copied" in dock.report.status.text()
    return words[1:]


def draw(dock, viewer, box):
    area = DrawnArea(viewer, dock.session.slide.image)
    area.draw(dock.session.modes, dock, lambda: None)
    area.layer.add_rectangles(box_vertices(box))
    dock.session.modes.end(dock)


def test_count_and_export_and_prompt(viewer, until, tmp_path, sample_slide):
    count = dock_in(viewer, CountDock)
    count.session.slide.take_lone()
    count.region.set_value(count.region.value().__class__(segmenter="classical-cells"))
    draw(count, viewer, PLACE)
    count.region.area.choose("drawn")
    count.count()
    until(lambda: count.counting.work is not None)
    count.counting.export(tmp_path / "dock")
    until((tmp_path / "dock" / "recipe.toml").is_file)

    assert main(copied(count)) == 0
    written = tmp_path / "results" / "slide"
    same = ("cells.csv", "counts.csv", "labels.tif", "cells.geojson", "cells.parquet")
    for name in same:
        assert (written / name).read_bytes() == (tmp_path / "dock" / name).read_bytes(), name

    count.recipe.save(tmp_path / "mine" / "r.toml")
    until((tmp_path / "mine" / "r.toml").is_file)
    for recipe in (tmp_path / "mine" / "r.toml", tmp_path / "dock" / "recipe.toml"):
        again = tmp_path / f"again-{recipe.parent.name}"
        assert main(["run", str(recipe), str(sample_slide), "--into", str(again)]) == 0
        for name in same:
            assert (again / "count" / name).read_bytes() == (written / name).read_bytes(), name

    # drawn shapes become a file beside the recipe, named without its folder
    viewer.add_shapes(
        [np.array([[1210, 1510], [1300, 1510], [1300, 1610], [1210, 1610]])],
        shape_type="polygon", name="mine", scale=viewer.layers[0].scale,
    )  # fmt: skip
    count._on_layers()
    where = count.region.area._combo
    where.setCurrentIndex(where.findText("Shapes: mine"))
    count.recipe.save(tmp_path / "mine" / "s.toml")
    until((tmp_path / "mine" / "s.toml").is_file)
    assert 'regions = "s.regions.geojson"' in (tmp_path / "mine" / "s.toml").read_text()
    params = read_recipe(tmp_path / "mine" / "s.toml").steps[0].params
    assert params.regions == tmp_path / "mine" / "s.regions.geojson"

    prompt = dock_in(viewer, PromptDock)
    prompt.models.choose("classical")
    prompt.recipe.copying.trigger()
    assert "Nothing is prompted" in prompt.report.status.text()
    prompt.annotator.prompts.boxes.add_rectangles(box_vertices(Box(1210, 1510, 1260, 1560)))
    assert main(copied(prompt)) == 0
    found = read_labels(tmp_path / "results.tif")
    assert found.read(Box(1210, 1510, 1260, 1560)).any()

    prompt.annotator.segment()
    until(lambda: prompt.annotator.preview.shown and not prompt.annotator.segmenting.active)
    prompt.annotator.commit()
    until(lambda: prompt.annotator.store.count == 1)
    export = dock_in(viewer, ExportDock)
    export.set_value(export.value().__class__(format="geojson"))
    export._folder.setText(str(tmp_path / "exported"))
    export.run()
    until(export._go.isEnabled)
    assert (tmp_path / "exported" / "recipe.toml").is_file(), export.report.status.text()
    words = copied(export)
    session_of(viewer).close()  # two programs do not write into one store
    words[words.index("--out") + 1] = str(tmp_path / "by command")
    assert main(words) == 0
    name = "objects.geojson"
    made = tmp_path / "by command" / name
    assert made.read_bytes() == (tmp_path / "exported" / name).read_bytes()


def test_text_and_import(viewer, until, tmp_path):
    dock = dock_in(viewer, TextDock)
    dock.models.choose("vocabulary")
    draw(dock, viewer, Box(1200, 1500, 1712, 2012))
    dock.area.choose("drawn")
    dock.set_value(dock.value().__class__(texts=("nuclei",)))
    dock.run()
    until(lambda: dock.control.work is not None)
    dock.control.mark_at(1400, 1700, True)
    dock.control.set_threshold(0.4)
    until(
        lambda: (
            not dock.control._fitting.active if hasattr(dock.control._fitting, "active") else True
        )
    )
    dock.control.regions.export(tmp_path / "dock")
    until((tmp_path / "dock" / "recipe.toml").is_file)
    words = copied(dock)
    assert "--marks" in words
    assert words[words.index("--threshold") + 1] == "0.4"
    assert main(words) == 0
    for name in ("tiles.csv", "regions.geojson"):
        made = tmp_path / "results" / name
        assert made.read_bytes() == (tmp_path / "dock" / name).read_bytes(), name

    bring = dock_in(viewer, ImportDock)
    bring.recipe.copying.trigger()
    assert "Choose a file" in bring.report.status.text()
    bring._files.setText(str(tmp_path / "dock" / "regions.geojson"))
    words = copied(bring)
    assert words[:1] == ["import"]
    assert str(tmp_path / "dock" / "regions.geojson") in words
