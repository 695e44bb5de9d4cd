"""Committed regions as the place where cells are counted, and where all nuclei are found."""

from __future__ import annotations

import numpy as np
import pytest
from five_nuclei import NUCLEI
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from histoprompt._qt.count.dock import CountDock
from histoprompt.core.geometry import Box
from histoprompt.pipelines.count.job import CountChoice

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]


def _commit(dock, nucleus: int, class_name: str = "") -> int:
    """A square region of 41 pixels a side around a nucleus."""
    plane = dock.annotator.regions
    place = Box.around(*NUCLEI[nucleus], 41).to_pixels()
    labels, made = plane.store.read(place), plane.store.next_id()
    labels[labels == 0] = made
    change = plane.store.write(place, labels)
    plane.show_change(change, "Made a region")
    if class_name:
        plane.show_change(plane.store.set_class([made], class_name), "Gave a class")
    return made


def _near(cells, nucleus: int) -> np.ndarray:
    row, col = NUCLEI[nucleus]
    return np.hypot(cells.row - row, cells.col - col) < 5


def test_cells_are_counted_in_all_committed_regions_or_those_of_a_class(shown_dock, until):
    viewer = shown_dock.viewer
    count = CountDock(viewer)
    viewer.window.add_dock_widget(count, name="Count")
    area, box = count.region.area, count.region.area._combo
    assert not any(box.itemText(i).startswith("Regions") for i in range(box.count()))
    _commit(shown_dock, 0, "tumour")
    _commit(shown_dock, 2)
    QTest.mousePress(box, Qt.MouseButton.LeftButton)
    box.hidePopup()
    texts = [box.itemText(i) for i in range(box.count())]
    assert texts[-2:] == ["Regions: all (2)", "Regions: tumour (1)"]
    count.region.set_value(CountChoice(segmenter="classical-cells"))
    for class_name, wanted in (("tumour", [0]), ("", [0, 2])):
        area.choose_regions(class_name)
        assert (area.part, area.class_name) == ("regions", class_name)
        before = count.counting.work
        count.region._go.click()
        until(lambda held=before: count.counting.work not in (None, held))
        cells = count.counting.cells
        assert len(cells) == len(wanted)
        assert all(_near(cells, nucleus).sum() == 1 for nucleus in wanted)
    names = count.counting.work.ground.names
    assert set(names) == {"all", "tumour 1", "region 2"}
    shown_dock.annotator.regions.delete([1, 2])
    count.region._go.click()
    until(lambda: "no committed region" in count._status.text())
    assert len(count.counting.cells) == 2, "the count that was there stays"


def test_all_nuclei_are_found_in_the_regions_whose_layer_is_selected(shown_dock, until):
    annotator = shown_dock.annotator
    first, second = _commit(shown_dock, 1), _commit(shown_dock, 3)
    shown_dock.viewer.layers.selection.active = annotator.regions.layer
    annotator.regions.choose(second)
    shown_dock._actions["find_all"].click()
    assert f"in region {second}" in shown_dock._status.text()
    until(lambda: annotator.committed.at(*NUCLEI[3]))
    assert annotator.store.count == 1
    annotator.regions.choose(0)
    shown_dock._actions["find_all"].click()
    assert f"in 2 regions ({first}, {second})" in shown_dock._status.text()
    until(lambda: annotator.committed.at(*NUCLEI[1]))
    assert annotator.store.count == 2
    assert not annotator.committed.at(*NUCLEI[0])
    annotator.undo()
    assert annotator.store.count == 1
