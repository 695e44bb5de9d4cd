"""The Import dock in a real viewer: a look first, then one step that can be taken back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.exchange.import_dock import ImportDock
from histoprompt._qt.reader import get_reader
from histoprompt._qt.writers import write_geojson
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.exchange.params import ImportParams

pytestmark = pytest.mark.gui


@pytest.fixture
def importer(dock):
    widget = ImportDock(dock.viewer)
    dock.viewer.window.add_dock_widget(widget, name="Import")
    return widget


@pytest.fixture
def path(tmp_path):
    features = []
    for r, c in ((20, 20), (60, 90), (9_000, 9_000)):
        ring = [[c, r], [c + 20, r], [c + 20, r + 20], [c, r + 20], [c, r]]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"classification": {"name": "tumor"}},
            }
        )
    features.append({"type": "Feature", "geometry": None})
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def rows(importer):
    table = importer._table
    return {table.item(i, 0).text(): table.item(i, 1).text() for i in range(table.rowCount())}


def look(importer, path, until):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    how = (
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(QPoint(5, 5), *how)
    QApplication.sendEvent(importer, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(importer, QDropEvent(QPointF(5, 5), *how))
    assert importer._files.text() == str(path)
    until(importer._look.isEnabled)
    assert importer.preview is not None, importer.report.status.text()


def test_dropped_files_are_shown_first_and_imported_then_as_one_step(importer, dock, path, until):
    store = dock.session.part(type(importer.annotating)).annotator.store
    tool = dock.viewer.layers.selection.active
    assert tool is not None
    look(importer, path, until)
    found = rows(importer)
    assert (found["Added"], found["Outside the slide"], found["Left out"]) == ("2", "1", "1")
    assert "QuPath GeoJSON" in importer._told.text()
    assert "feature 4" in importer._notes.text()
    layer = importer._layer
    assert layer is dock.viewer.layers.selection.active
    assert len(np.unique(layer.data)) == 3
    assert not len(store.ids()), "nothing is changed by looking"

    importer._go.click()
    until(lambda: len(store.ids()) == 2 and importer._look.isEnabled())
    assert layer not in dock.viewer.layers
    assert dock.viewer.layers.selection.active is tool, "keys work as before"
    assert {store.class_of(int(i)) for i in store.ids()} == {"tumor"}
    assert importer.report.status.text().startswith("Imported: added 2")
    dock.session.steps.undo()
    assert not len(store.ids())


def test_another_choice_drops_what_was_looked_at(importer, dock, path, until):
    look(importer, path, until)
    importer._rows.row("rule").setCurrentIndex(1)
    importer._on_rows()
    assert importer.preview is None
    assert not importer._go.isEnabled()
    assert "incoming_objects" not in [layer.name for layer in dock.viewer.layers]


def test_imported_cells_come_into_the_count_dock(importer, dock, path, until):
    dock.session.slide.set_mpp(0.5)
    importer.set_value(ImportParams(into="count"))
    look(importer, path, until)
    assert rows(importer)["Cells of a new count"] == "2"
    importer._go.click()
    counting = dock.session.part(Counting)
    until(lambda: counting.work is not None)
    assert counting.cells.class_names == ["tumor", "tumor"]


def test_a_file_that_is_none_is_told_in_the_dock(importer, tmp_path, until):
    bad = tmp_path / "x.geojson"
    bad.write_text("{")
    importer._files.setText(str(bad))
    importer._look.click()
    until(lambda: "x.geojson" in importer.report.status.text())
    assert importer._look.isEnabled()


def test_files_dropped_on_the_canvas_open_the_dock(dock, path, until):
    reader = get_reader(str(path))
    assert reader(str(path)) == [(None,)]
    docks = [w.widget() for w in dock.viewer.window._dock_widgets.values()]
    (importer,) = [w for w in docks if isinstance(w, ImportDock)]
    until(lambda: importer.preview is not None)


def test_a_labels_layer_is_saved_where_it_lies(dock, tmp_path):
    labels = np.zeros((30, 40), np.int32)
    labels[5:10, 6:12] = 7
    about = {"name": "mine", "scale": (0.5, 0.5), "translate": (10.0, 20.0), "units": ("um", "um")}
    target = tmp_path / "out.geojson"
    assert write_geojson(str(target), labels, about) == [str(target)]
    assert [p.name for p in tmp_path.iterdir() if p.suffix] == ["out.geojson"]
    slide = dock.session.slide.slide
    from histoprompt.core.task import Task

    found = read_incoming(slide, target, Task())
    assert found.table.ids.tolist() == [7]
    assert found.table.boxes[0].tolist() == [25, 46, 30, 52]
