"""The Explore dock in a real viewer on the sample slide: examples, hits, regions, another slide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image as Picture
from pointer import Pointer, show_with_margin
from tile_values import tile_values

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.explore.anomaly import CELLS
from histoprompt._qt.explore.controller import SHOWN
from histoprompt._qt.explore.dock import HINT, ExploreDock
from histoprompt._qt.explore.layers import EXAMPLES, HITS
from histoprompt._qt.layers.make import box_vertices
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.session import session_of
from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.project.project import add_slides, new_project
from histoprompt.pipelines.project.table import ProjectSlide

pytestmark = pytest.mark.gui


@pytest.fixture
def explore(make_napari_viewer, monkeypatch, tmp_path) -> Iterator[ExploreDock]:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1500, 950)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    widget = ExploreDock(viewer)
    viewer.window.add_dock_widget(widget, name="Explore")
    show_with_margin(viewer, widget.session.slide.image)
    yield widget
    session_of(viewer).close()


def click(dock: ExploreDock, row: float, col: float, *held: str) -> None:
    Pointer(dock.annotating.annotator).click((row, col), *held)


def layer(dock: ExploreDock, name: str):
    return dock.viewer.layers[name]


def test_from_examples_to_hits_regions_and_another_slide(explore, until, tmp_path):
    control, page = explore.control, explore.like
    assert not page.words.isEnabled()
    explore.find()
    assert explore.report.status.text() == HINT
    explore.pages.setCurrentWidget(explore.classes)
    assert "Mark tiles" in explore.report.status.text()
    explore.pages.setCurrentWidget(explore.like)
    assert explore.report.status.text() == HINT

    # clicks give examples, with Control counter-examples; each is a step
    page._pick.click()
    until(lambda: control.picking.active)
    click(explore, 224, 672)
    click(explore, 224, 1120)
    click(explore, 1900, 700, "Control")
    until(lambda: len(control.examples.all) == 3)
    assert [one.like for one in control.examples.all] == [True, True, False]
    assert tuple(control.examples.all[0].example.box) == (0, 448, 448, 896)
    assert page.examples.item(0).text().startswith("+ tile")
    assert len(layer(explore, EXAMPLES).data) == 3
    page._pick.click()
    assert not control.picking.active
    click(explore, 1000, 1000)
    assert len(control.examples.all) == 3
    explore.session.steps.undo()
    assert len(control.examples.all) == 2
    explore.session.steps.redo()

    # words are offered where the encoder knows any
    explore.models.choose("vocabulary")
    assert page.words.isEnabled()
    explore.models.choose("efficientnet-lite0")
    assert page.texts == ()

    # hits, heat map, regions, threshold
    page.options.row("top").setValue(10)
    page.find.click()
    until(lambda: control.found is not None and not control.batch.active)
    until(lambda: page.gallery.count() == 10)
    found = control.found
    assert len(found.hits) == 10
    assert "3 examples left out" in page.told.text()
    heat = explore.viewer.layers[f"score: {SHOWN}"]
    assert np.isfinite(tile_values(heat, explore.session.slide.image, 448)).sum() == 22
    above = sum(hit.score >= control.cut for hit in found.hits)
    assert len(layer(explore, HITS).data) == above > 0
    page.cut.setValue(-1.0)
    assert len(layer(explore, HITS).data) == 10
    page.cut.setValue(found.cut)
    zoom = explore.viewer.scene.camera.zoom
    page.picked.emit(0)
    assert explore.viewer.scene.camera.zoom != zoom
    middle = explore.session.slide.image.data_to_world(found.hits[0].box.centre)
    assert explore.viewer.scene.camera.center[-2:] == pytest.approx(middle[-2:])

    # regions are kept as objects of a class
    page.name.setText("capsule")
    page._keep.click()
    store = explore.annotating.annotator.store.on("regions")
    until(lambda: set(store.classes().values()) == {"capsule"})

    # a project: hits of all its slides, and a hit on another slide opens it
    with open_slide(sample_file(SLIDE)) as slide:
        part = slide.read(Box(0, 448, 896, 1344))[0]
    Picture.fromarray(part).save(tmp_path / "part.png")
    project = new_project(tmp_path / "study")
    lines = [
        ProjectSlide("whole", str(sample_file(SLIDE))),
        ProjectSlide("part", str(tmp_path / "part.png"), mpp=0.25),
    ]
    add_slides(project, lines)
    control.examples.remove([0, 1, 2])
    explore.use_project(project.folder)
    assert "2 slides" in explore._which.text()
    control.add_box(Box(0, 448, 448, 896), True)
    assert control.examples.all[0].example.place == "whole"
    page.find.click()
    until(lambda: control.found is not found and not control.batch.active)
    names = [hit.name for hit in control.found.hits]
    assert set(names) == {"whole", "part"}
    assert "query's own slide" in page.told.text()
    page.picked.emit(names.index("part"))
    until(lambda: explore.session.slide.slide.name == "part")
    assert explore.viewer.layers[f"score: {SHOWN}"].data.shape == (2, 2)


def test_a_drawn_box_an_object_and_nothing_there(explore, until):
    control = explore.control
    explore.like._more.click()
    area = DrawnArea(explore.viewer, explore.session.slide.image)
    until(lambda: area.layer is not None)
    area.layer.add_rectangles([box_vertices(Box(100, 500, 300, 700))])
    explore.session.modes.end(explore)
    until(lambda: len(control.examples.all) == 1)
    assert control.examples.all[0].example.box.shape == (200, 200)
    explore.like.take("object")
    explore.like._pick.click()
    click(explore, 1000, 1000)
    until(lambda: "There is no object there" in explore.report.status.text())
    explore.like.examples.setCurrentRow(0)
    explore.like._remove.click()
    assert control.examples.all == ()


def test_what_is_unlike_drawn_normal_tissue_is_mapped(explore, until):
    explore.options.row("overlap").setValue(4)
    explore.pages.setCurrentWidget(explore.unlike)
    explore.unlike.find.click()
    until(lambda: "Draw a box of normal tissue" in explore.report.status.text())
    explore.unlike._draw.click()
    area = DrawnArea(explore.viewer, explore.session.slide.image)
    until(lambda: area.layer is not None)
    area.layer.add_rectangles([box_vertices(Box(0, 400, 700, 1800))])
    explore.session.modes.end(explore)
    until(lambda: explore.unlike.reference.count() == 1)
    explore.unlike.options.row("rate").setValue(0.1)
    explore.unlike.find.click()
    until(lambda: explore.normal.found is not None and not explore.control.batch.active)
    found = explore.normal.found
    assert "The reference has" in explore.unlike.told.text()
    heat = explore.viewer.layers["score: unlike normal"]
    step = found.unlike.tiles.slides[0].step
    shown = tile_values(heat, explore.session.slide.image, step)
    assert np.isfinite(shown).sum() == len(found.unlike.tiles)
    scores = found.score_map(explore.session.slide.slide.key, "x")
    assert scores.inside("x").sum() == found.unlike.hit.sum()


def test_cells_unlike_those_of_drawn_normal_tissue_are_marked(explore, until, monkeypatch):
    rng, at = np.random.default_rng(0), np.argwhere(np.ones((20, 30))) * 40.0 + 20
    usual = rng.normal(0, 1, (600, 2)) @ rng.normal(0, 1, (2, 6)) + rng.normal(0, 0.2, (600, 6))
    seen = usual + 6 * np.array([0, 1, 0, 0, -1, 0]) * (at[:, :1] > 600) + 5
    names = tuple(f"net_{k:03d}" for k in range(6))
    cells = CellTable(
        np.arange(1, 601), *at.T, np.full(600, 30.0), features=np.float32(seen), feature_names=names
    )
    explore.pages.setCurrentWidget(explore.unlike)
    explore.unlike.looks_at.setCurrentIndex(2)
    explore.normal.add(Box(0, 0, 600, 1200))
    explore.unlike.find.click()
    until(lambda: "No cells are counted" in explore.report.status.text())
    monkeypatch.setattr(Counting, "cells", cells)
    explore.unlike.options.row("rate").setValue(0.05)
    explore.unlike.find.click()
    until(lambda: explore.normal.found is not None and not explore.control.batch.active)
    hits = explore.normal.found.unlike.hit
    assert hits[at[:, 0] > 600].all()
    assert len(layer(explore, CELLS).data) == hits.sum()
    assert "600 cells are unlike" in explore.unlike.told.text()
