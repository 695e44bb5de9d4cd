"""The Project dock in a real viewer: slides opened by double click, next and previous, states."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from histoprompt._qt.project.dock import ProjectDock
from histoprompt._qt.shell.session import session_of
from histoprompt.pipelines.project.gather import gathered
from histoprompt.pipelines.project.project import add_slides, new_project
from histoprompt.pipelines.project.table import ProjectSlide, SlideTable, write_slides
from histoprompt.pipelines.recipes import preflight
from waiting import until

pytestmark = pytest.mark.gui


@pytest.fixture
def project(tmp_path):
    for n in range(3):
        pixels = np.full((96, 128, 3), 60 + 40 * n, np.uint8)
        tifffile.imwrite(
            tmp_path / f"s{n}.tif", pixels, photometric="rgb", resolution=(2e4, 2e4),
            resolutionunit="CENTIMETER",
        )  # fmt: skip
    made = new_project(tmp_path / "study")
    return add_slides(made, gathered([tmp_path / f"s{n}.tif" for n in range(3)]).slides)[0]


@pytest.fixture
def closed(make_napari_viewer, monkeypatch, tmp_path):
    """The dock without a project, in a viewer that is shown."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    dock = ProjectDock(viewer)
    viewer.window.add_dock_widget(dock, area="right")
    yield dock
    session_of(viewer).close()


@pytest.fixture
def dock(closed, project):
    closed.open(project.folder)
    until(lambda: closed.model.rowCount() == 3)
    return closed


def test_a_double_click_opens_a_slide_and_next_takes_its_place(dock, qtbot):
    cell = dock.table.visualRect(dock.table.model().index(1, 1)).center()
    port = dock.table.viewport()
    qtbot.mouseClick(port, Qt.MouseButton.LeftButton, pos=cell)
    qtbot.mouseDClick(port, Qt.MouseButton.LeftButton, pos=cell)
    session = session_of(dock.viewer)
    until(lambda: session.slide.slide is not None)
    assert dock.controller.current.id == "s1"
    assert session.slide.slide.key == dock.controller.current.key
    qtbot.mouseClick(dock._next, Qt.MouseButton.LeftButton)
    until(lambda: dock.controller.current.id == "s2")
    assert [layer.name for layer in dock.viewer.layers if layer.name.startswith("s")] == ["s2"]
    qtbot.mouseClick(dock._next, Qt.MouseButton.LeftButton)
    assert "last slide" in dock.report.status.text()


def test_words_narrow_the_slides_down_and_next_follows_what_is_shown(dock, qtbot):
    qtbot.keyClicks(dock.words, "s2")
    assert dock.order == ["s2"]
    dock.words.clear()
    assert dock.order == ["s0", "s1", "s2"]


def test_pictures_come_for_slides_in_sight(dock, qtbot):
    role = Qt.ItemDataRole.DecorationRole
    index = dock.model.index(0, 0)
    until(lambda: dock.model.data(index, role) is not None)
    picture = dock.model.data(index, role).toImage()
    assert picture.pixelColor(4, 4).red() == pytest.approx(60, abs=2)


def test_ten_thousand_slides_are_shown_without_looking_at_them(closed, tmp_path):
    made = new_project(tmp_path / "large")
    slides = [ProjectSlide(f"s{n}", f"{n}.svs") for n in range(10_000)]
    write_slides(made.folder / "slides.csv", SlideTable().with_slides(slides))
    asked = []
    closed.model.wanted.connect(asked.append)
    closed.open(made.folder)
    assert closed.model.rowCount() == 10_000
    until(lambda: bool(asked))
    assert len(set(asked)) < 60


def test_what_is_no_project_is_told(dock, tmp_path):
    dock.open(tmp_path)
    assert "no project" in dock.report.status.text()


def test_pictures_come_though_the_project_was_read_again_meanwhile(dock):
    role = Qt.ItemDataRole.DecorationRole

    def pictures():
        return [dock.model.data(dock.model.index(row, 0), role) for row in range(3)]

    assert pictures().count(None), "none was waited for"
    dock.controller.refresh()
    until(lambda: None not in pictures())


RECIPE = """format = 1

[[steps]]
step = "count"
[steps.params]
segmenter = "classical-cells"
region = [0, 0, 96, 128]
"""


def test_a_run_on_several_slides_is_looked_at_first_and_refused_where_room_lacks(
    dock, tmp_path, monkeypatch
):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    said = []
    for told in (dock.controller.said, dock.controller.work.status):
        told.connect(said.append)
    with monkeypatch.context() as patch:
        patch.setattr(preflight, "free_bytes", lambda _: 3_000_000)
        dock.controller.run(recipe)
        until(lambda: any("3 MB are free" in text for text in said))
    assert any("The results take 15 MB at most" in text for text in said)
    assert not list(dock.controller.project.folder.rglob("cells.csv")), "nothing was begun"
    heard = []
    dock.controller.work.progress.connect(lambda *told: heard.append(str(told)))
    dock.controller.run(recipe)
    until(lambda: any("3 of 3 slides are done" in text for text in said))
    assert any("3 of 3 slides can be worked on" in text for text in heard)
    assert len(list(dock.controller.project.folder.rglob("cells.csv"))) == 3
