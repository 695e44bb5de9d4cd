"""The Export dock in a real viewer: what it writes, what it says, cancel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QMessageBox
from stored_labels import stored

from histoprompt._qt.exchange.dock import ExportDock
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt.core.geometry import Box
from histoprompt.pipelines.exchange.export import ExportParams
from histoprompt.pipelines.formats.coco import read_coco
from histoprompt.pipelines.formats.geojson import read_geojson
from histoprompt.pipelines.formats.tiles import read_tiles

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(kept_dock: PromptDock) -> PromptDock:
    """One for all tests here, as new for each."""
    return kept_dock


@pytest.fixture
def exporter(dock: PromptDock) -> Iterator[ExportDock]:
    """The Export dock beside the Prompt dock, with two painted objects."""
    widget = ExportDock(dock.viewer)
    dock.viewer.window.add_dock_widget(widget, name="Export")
    layer = dock.annotator.committed.layer
    layer.brush_size = 21
    layer.paint((60, 70), 3)
    layer.paint((150, 120), 8)
    yield widget
    dock.viewer.window.remove_dock_widget(widget)
    widget.close()
    widget.deleteLater()


def start(exporter: ExportDock, folder: Path, params: ExportParams | None = None) -> None:
    if params is not None:
        exporter.set_value(params)
    exporter._folder.setText(str(folder))
    exporter._go.click()


def idle(exporter: ExportDock) -> bool:
    return exporter._go.isEnabled()


def read_back(fmt: str, folder: Path, shape: tuple[int, int]) -> np.ndarray:
    if fmt == "labels":
        return tifffile.imread(folder / "labels.ome.tif")
    if fmt == "geojson":
        found = read_geojson(folder / "objects.geojson", shape)
    else:
        found = (read_tiles if fmt == "tiles" else read_coco)(folder)
    return found.labels.read(Box.of_shape(shape))


@pytest.mark.parametrize("fmt", ["tiles", "coco", "geojson", "labels"])
def test_what_is_exported_reads_back_equal_to_the_store(exporter, dock, until, tmp_path, fmt):
    out = tmp_path / "out"
    start(exporter, out, ExportParams(format=fmt, tile_size=64))
    assert not exporter._go.isEnabled()
    until(lambda: idle(exporter))
    assert exporter._status.text().startswith("2 objects")
    assert str(out) in exporter._status.text()
    assert not exporter._busy.isVisible()
    labels = stored(dock)
    assert set(np.unique(labels)) == {0, 3, 8}
    assert np.array_equal(read_back(fmt, out, labels.shape), labels)


def test_the_classes_given_in_the_prompt_dock_are_exported(exporter, dock, until, tmp_path):
    dock._class.setText("lymphocyte")
    annotator = dock.annotator
    annotator.preview.layer.paint((190, 40), 1)
    (found,) = annotator.commit()
    exporter._rows.row("default_class").setText("other")
    start(exporter, tmp_path / "out", None)
    until(lambda: idle(exporter))
    assert "1 lymphocyte" in exporter._status.text()
    assert "2 other" in exporter._status.text()
    classes = read_tiles(tmp_path / "out").classes
    assert (classes.of(found), classes.of(3)) == ("lymphocyte", "other")


def test_the_rows_say_what_was_set(exporter):
    params = ExportParams("coco", "nucleus", 256, 0.5, val_share=0.2, test_share=0.3)
    exporter.set_value(params)
    assert exporter.value() == params
    assert exporter._rows.row("tile_size").isEnabled()
    exporter.set_value(ExportParams(format="geojson"))
    assert not exporter._rows.row("tile_size").isEnabled()


def test_without_a_folder_it_asks_for_one(exporter, tmp_path):
    exporter._go.click()
    assert "folder" in exporter._status.text()
    assert idle(exporter)


def test_an_export_twice_replaces_the_first_once_that_is_agreed_to(
    exporter, dock, until, tmp_path, monkeypatch
):
    out, asked = tmp_path / "out", []
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]

    def answer(parent, title, text):
        asked.append(text)
        return answers[len(asked) - 1]

    monkeypatch.setattr(QMessageBox, "question", answer)
    start(exporter, out, ExportParams(format="labels"))
    until(lambda: idle(exporter))
    assert asked == []
    dock.annotator.delete([3])
    start(exporter, out)
    assert idle(exporter)
    assert str(out) in asked[0]
    assert set(np.unique(read_back("labels", out, (220, 200)))) == {0, 3, 8}
    start(exporter, out)
    until(lambda: idle(exporter))
    assert len(asked) == 2
    assert set(np.unique(read_back("labels", out, (220, 200)))) == {0, 8}


@pytest.fixture
def shown(dock: PromptDock, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told in a bubble."""
    found: list[str] = []
    monkeypatch.setattr(dock.session.jobs, "_notify", found.append)
    return found


@pytest.mark.parametrize("trouble", ["no objects", "shares"])
def test_errors_are_shown_and_nothing_is_written(exporter, shown, until, tmp_path, trouble):
    out = tmp_path / "out"
    word = {"no objects": "no objects", "shares": "more than 1"}
    if trouble == "no objects":
        exporter.annotator.delete([3, 8])
    else:
        exporter._rows.row("val_share").setValue(0.7)
        exporter._rows.row("test_share").setValue(0.6)
    start(exporter, out)
    until(lambda: word[trouble] in exporter._status.text())
    assert idle(exporter)
    assert not exporter._busy.isVisible()
    if trouble != "shares":
        assert word[trouble] in shown[0]
    assert not out.exists()


@pytest.mark.parametrize("agreed", [False, True])
def test_other_files_are_set_aside_if_the_person_agrees(
    exporter, until, tmp_path, monkeypatch, agreed
):
    out, asked = tmp_path / "out", []
    out.mkdir()
    (out / "thesis.docx").write_text("years of work")
    buttons = QMessageBox.StandardButton

    def answer(parent, title, text):
        asked.append(text)
        return buttons.Yes if agreed else buttons.No

    monkeypatch.setattr(QMessageBox, "question", answer)
    start(exporter, out, ExportParams(format="labels"))
    until(lambda: asked and idle(exporter))
    assert len(asked) == 1
    assert "thesis.docx" in asked[0]
    assert "out-before" in asked[0]
    kept = tmp_path / ("out-before" if agreed else "out")
    assert [p.name for p in kept.iterdir()] == ["thesis.docx"]
    assert (kept / "thesis.docx").read_text() == "years of work"
    if agreed:
        assert set(np.unique(read_back("labels", out, (220, 200)))) == {0, 3, 8}
    else:
        assert "Nothing was written" in exporter._status.text()
        assert not (tmp_path / "out-before").exists()


def test_cancel_writes_nothing_and_says_so(exporter, dock, until, tmp_path):
    out = tmp_path / "exports" / "out"
    start(exporter, out, ExportParams(tile_size=32))
    assert exporter._busy.isVisibleTo(exporter)
    exporter._cancel.click()
    until(lambda: idle(exporter))
    assert exporter._status.text() == "Cancelled; nothing was written."
    assert not out.exists()
    assert not out.parent.exists() or os.listdir(out.parent) == []
    assert set(np.unique(stored(dock))) == {0, 3, 8}
    start(exporter, out)
    until(lambda: idle(exporter))
    assert np.array_equal(read_back("tiles", out, (220, 200)), stored(dock))


def test_it_names_the_image_and_waits_for_one(exporter, dock):
    assert "picture" in exporter._source.text()
    dock.session.slide.choose(None)
    assert "No image" in exporter._source.text()
    assert not exporter._go.isEnabled()


def test_the_image_going_away_mid_export_is_told(exporter, dock, until, tmp_path):
    start(exporter, tmp_path / "out", ExportParams(tile_size=32))
    dock.viewer.layers.remove("picture")
    until(lambda: dock.session.slide.image is None)
    until(lambda: "Exporting" not in exporter._status.text())
    assert not exporter._busy.isVisible()
    assert not idle(exporter)
    # Whichever came first, the export is whole or not there.
    if (tmp_path / "out").exists():
        assert set(np.unique(read_back("tiles", tmp_path / "out", (220, 200)))) == {0, 3, 8}
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]
