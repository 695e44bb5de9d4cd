"""Regions drawn freehand, painted and taken by the wand, in a real viewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from five_nuclei import NUCLEI, RADIUS
from pointer import Pointer

pytestmark = pytest.mark.gui


def around(row: float, col: float, radius: float) -> list[tuple[float, float]]:
    turn = np.linspace(0, 2 * np.pi, 24)
    return [(row + radius * np.sin(t), col + radius * np.cos(t)) for t in turn]


def test_the_chosen_plane_takes_what_is_drawn_painted_committed_and_waved_at(shown_dock, until):
    annotator, pointer = shown_dock.annotator, Pointer(shown_dock.annotator)
    objects, regions = (plane.store for plane in annotator.planes)
    keep_as = lambda plane: shown_dock.set_value(replace(shown_dock.value(), plane=plane))  # noqa: E731
    shown_dock._class.setText("tumour")
    keep_as("regions")
    # freehand: a region around the first nucleus, which stays free for an object
    shown_dock.choose("draw")
    pointer.key("P")  # one of napari's ways to draw
    assert "Click corner by corner" in shown_dock._status.text()
    assert annotator.tool == "draw"
    pointer.key("Shift-P")
    assert "Drag along the outline" in shown_dock._status.text()
    pointer.drag(around(*NUCLEI[0], 2 * RADIUS))
    until(lambda: regions.count == 1)
    (drawn,) = regions.ids().tolist()
    assert regions.area_of(drawn) == pytest.approx(np.pi * (2 * RADIUS) ** 2, rel=0.05)
    assert regions.class_of(drawn) == "tumour"
    assert "Drew region 1" in shown_dock._status.text()
    # the brush paints on the layer of regions
    shown_dock.choose("paint")
    assert annotator.viewer.layers.selection.active is annotator.regions.layer
    pointer.drag([(205, 20), (205, 60)])
    until(lambda: regions.count == 2)
    assert annotator.tool == "paint"
    # the wand: one nucleus by one click
    shown_dock.choose("wand")
    assert shown_dock._modes["wand"].isChecked()
    pointer.click(NUCLEI[2])
    until(lambda: "Took with the wand region 3" in shown_dock._status.text())
    taken = regions.read(regions.box)[tuple(NUCLEI[2])]
    assert regions.area_of(int(taken)) == pytest.approx(np.pi * RADIUS**2, rel=0.2)
    # a chosen region grows by the wand
    annotator.regions.choose(int(taken))
    pointer.click(NUCLEI[3])
    until(lambda: "Extended region 3" in shown_dock._status.text())
    assert regions.read(regions.box)[tuple(NUCLEI[3])] == taken
    assert regions.count == 3
    assert objects.count == 0
    for left in (3, 2, 1, 0):
        before = shown_dock._status.text()
        pointer.key("Control-Z")
        until(lambda told=before: shown_dock._status.text() != told)
        assert regions.count == left
    # what is committed from prompts becomes a region too, and with the other row an object in it
    for plane, store in (("regions", regions), ("objects", objects)):
        keep_as(plane)
        shown_dock.choose("click +")
        pointer.click(NUCLEI[0])
        until(lambda: annotator.preview.shown and not annotator.preview.is_sketch)
        pointer.key("C")
        until(lambda kept=store: kept.count == 1)
    assert annotator.store.parents() == {1: 1}
    shown_dock.choose("paint")
    assert annotator.viewer.layers.selection.active is annotator.committed.layer
    keep_as("regions")  # the brush in hand goes over to the other layer
    assert annotator.viewer.layers.selection.active is annotator.regions.layer
    assert shown_dock._modes["paint"].isChecked()
