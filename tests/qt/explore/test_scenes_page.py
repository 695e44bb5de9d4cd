"""The page Scenes in a real viewer: found, named, chosen, kept, saved, on another slide too."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image as Picture
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtWidgets import QFileDialog
from tile_values import tile_values

from histoprompt._qt.explore.dock import ExploreDock
from histoprompt._qt.explore.scenes import SCENES, TILES
from histoprompt._qt.shell.session import session_of
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.project.project import add_slides, new_project
from histoprompt.pipelines.project.table import ProjectSlide

pytestmark = pytest.mark.gui


@pytest.fixture
def explore(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    dock = ExploreDock(viewer)
    viewer.window.add_dock_widget(dock, name="Explore")
    dock.options.row("overlap").setValue(2)
    dock.pages.setCurrentWidget(dock.scenes)
    yield dock
    session_of(viewer).close()


def in_list(page, number: int):
    """The middle of a line of the list, as the mouse finds it."""
    return page.table.visualItemRect(page.table.item(number, 0)).center()


def test_scenes_are_found_chosen_named_kept_and_saved(explore, until, qtbot, tmp_path, monkeypatch):
    page, control = explore.scenes, explore.typing
    page.options.row("scenes").setValue(1)
    page.find.click()
    assert "must be 0" in explore.report.status.text()

    # found, named by words, shown as a layer in the colours of the list
    page.options.row("scenes").setValue(3)
    page.find.click()
    until(lambda: control.found is not None and not explore.control.batch.active)
    found = control.found.scenes
    assert page.table.rowCount() == 3
    names = [name.name for name in found.names]
    assert [page.table.item(k, 0).text() for k in range(3)] == names
    assert float(page.table.item(0, 1).text()) == pytest.approx(found.names[0].margin, rel=0.01)
    total = sum(float(page.table.item(k, 2).text()) for k in range(3))
    assert total == pytest.approx(np.sum(found.tiles.area_mm2), rel=0.02)
    assert page.table.isColumnHidden(3)
    assert "with several slides only" in page.told.text()
    shown = explore.viewer.layers[SCENES]
    image, step = explore.session.slide.image, found.tiles.slides[0].step
    numbers = tile_values(shown, image, step)
    assert np.bincount(numbers.ravel())[1:].tolist() == np.bincount(found.code).tolist()
    colour = page.table.item(1, 0).data(Qt.ItemDataRole.DecorationRole).getRgbF()
    assert np.allclose(shown.get_color(2), colour, atol=0.01)

    # a click on the list chooses a scene: outlines, typical tiles
    qtbot.mouseClick(page.table.viewport(), Qt.MouseButton.LeftButton, pos=in_list(page, 1))
    assert control.number == 1
    outlined = tile_values(explore.viewer.layers["regions_of_scene"], image, step) > 0
    assert np.array_equal(outlined, numbers == 2)

    # another page has other layers: what this one shows is there again when it is turned to
    assert len(explore._shows) == explore.pages.count()
    explore.pages.setCurrentWidget(explore.like)
    assert not shown.visible
    assert not explore.viewer.layers["regions_of_scene"].visible
    explore.pages.setCurrentWidget(explore.scenes)
    assert shown.visible
    assert page.gallery.count() == min(8, int((found.code == 1).sum()))
    page.gallery.picked.emit(0)
    middle = explore.session.slide.image.data_to_world(control.typical()[0].hit.box.centre)
    assert explore.viewer.scene.camera.center[-2:] == pytest.approx(middle[-2:])

    # the map: a lasso shows its tiles on the slide, a click goes to one, a tile has its dot
    right, low = page.map.width() - 2, page.map.height() - 2
    ends = [QPoint(2, 2), QPoint(right, 2), QPoint(right, low), QPoint(2, low)]
    qtbot.mousePress(page.map, Qt.MouseButton.LeftButton, pos=ends[0])
    for end in ends[1:]:
        qtbot.mouseMove(page.map, end)
    qtbot.mouseRelease(page.map, Qt.MouseButton.LeftButton, pos=ends[3])
    assert len(explore.viewer.layers[TILES].data) == len(found.tiles)
    dot = page.map._dots_at()[5]
    qtbot.mouseClick(page.map, Qt.MouseButton.LeftButton, pos=QPointF(*dot).toPoint())
    tile = page.map._marked
    assert np.allclose(page.map._dots_at()[tile], dot, atol=2)
    assert np.allclose(explore.viewer.layers[TILES].data, [found.tiles.centres[tile] + 0.5], atol=1)
    page.pick.click()
    assert control.picking.active
    control._on_picked(*found.tiles.centres[9], True)
    assert found.tiles.centres[page.map._marked].tolist() == found.tiles.centres[9].tolist()
    assert control.number == found.code[9]
    page.pick.click()
    assert not control.picking.active

    # a name that is typed or chosen, refused where it is taken, taken back
    page.table.selectRow(1)
    page.name.setEditText(names[0])
    page._rename.click()
    assert "cannot be the name" in explore.report.status.text()
    page.name.setEditText("bone")
    qtbot.keyClick(page.name.lineEdit(), Qt.Key.Key_Return)
    assert page.table.item(1, 0).text() == "bone"
    assert explore.viewer.layers[SCENES].features["name"].tolist()[1] == "bone"
    explore.session.steps.undo()
    assert page.table.item(1, 0).text() == names[1]
    explore.session.steps.redo()
    assert control.found.scenes.names[1].name == "bone"

    # kept as regions of a class of the name, as a step
    page.keep.click()
    store = explore.annotating.annotator.store.on("regions")
    until(lambda: set(store.classes().values()) == {"bone"})
    until(lambda: not explore.control.batch.active)

    # saved with the names of now; the recipe too
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    page._save.click()
    until(lambda: "Scenes saved" in explore.report.status.text())
    with (tmp_path / "out" / "scenes.csv").open(encoding="utf-8") as file:
        assert [line["name"] for line in csv.DictReader(file)][1] == "bone"
    assert "cluster" in (tmp_path / "out" / "recipe.toml").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "scenes.geojson").is_file()

    # a project: how much of it is slide identity, and another slide has its own layer
    with open_slide(sample_file(SLIDE)) as slide:
        part = slide.read(Box(0, 448, 1344, 1792))[0]
    Picture.fromarray(part).save(tmp_path / "part.png")
    project = new_project(tmp_path / "study")
    add_slides(project, [
        ProjectSlide("whole", str(sample_file(SLIDE))),
        ProjectSlide("part", str(tmp_path / "part.png"), mpp=0.25),
    ])  # fmt: skip
    explore.use_project(project.folder)
    page.options.row("words").setText("")
    page.find.click()
    until(lambda: len(control.found.study.sources) == 2 and not explore.control.batch.active)
    assert "Slide identity: adjusted Rand index" in page.told.text()
    assert not page.table.isColumnHidden(3)
    before = explore.viewer.layers[SCENES].data.shape
    hits = [(k, one.hit) for k in range(3) for one in control.found.typical(k)]
    number, hit = next((k, hit) for k, hit in hits if hit.name == "part")
    page.table.selectRow(number)
    page.picked.emit([one.hit for one in control.typical()].index(hit))
    until(lambda: explore.session.slide.slide.name == "part")
    until(lambda: SCENES in explore.viewer.layers)
    assert explore.viewer.layers[SCENES].data.shape != before
