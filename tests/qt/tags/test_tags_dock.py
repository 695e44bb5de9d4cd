"""The Tags dock in a real viewer: proposed, answered by keys, undone, taken in, learnt from."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
from qtpy.QtCore import Qt

from histoprompt._qt.shell.session import session_of
from histoprompt._qt.tags.dock import HINT, TagsDock
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.records import TAGS_CSV, read_rows
from tagged_study import make_study

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(make_napari_viewer, monkeypatch, tmp_path) -> Iterator[TagsDock]:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    make_study(tmp_path)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    viewer.open(str(tmp_path / "part0.tif"), plugin="napari-histoprompt")
    found = TagsDock(viewer)
    viewer.window.add_dock_widget(found, name="Tags")
    yield found
    session_of(viewer).close()


def test_from_words_to_answers_and_a_detector(dock, qtbot, until, tmp_path):
    dock.propose(tmp_path / "out")
    assert dock.report.status.text() == HINT
    dock.set_value(TagParams(tags=tmp_path / "tags.toml", candidates=40))
    assert dock.value() == TagParams(tags=tmp_path / "tags.toml", candidates=40)
    dock.propose(tmp_path / "out")
    until(lambda: dock.control.tagged is not None)
    shown = dock.control.shown
    assert dock.gallery.count() == len(shown) > 5
    assert shown[0].header in dock.header.text()

    qtbot.keyClick(dock.gallery, Qt.Key.Key_A)
    qtbot.keyClick(dock.gallery, Qt.Key.Key_R)
    qtbot.keyClick(dock.gallery, Qt.Key.Key_3)
    answers = {one.id: dock.control.answers[one.id] for one in shown[:3]}
    assert [said.answer for said in answers.values()][:2] == ["accept", "reject"]
    assert answers[shown[2].id].answer == ("accept" if shown[2].tag == "stroma" else "fix")
    assert dock.gallery.currentRow() == 3
    qtbot.keyClick(dock.gallery, Qt.Key.Key_9)  # there are three tags
    assert "There are 3 tags" in dock.report.status.text()
    assert dock.gallery.currentRow() == 3, "nothing was answered"
    with (tmp_path / "out" / "reviews.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3  # on disk before anything is taken in
    dock.session.steps.undo()
    assert shown[2].id not in dock.control.answers
    dock.session.steps.redo()
    assert shown[2].id in dock.control.answers

    # a folder is opened again with all of its answers
    dock.open(tmp_path / "out")
    until(lambda: not dock.control.work.active)
    assert set(dock.control.answers) == {one.id for one in shown[:3]}
    assert dock.gallery.currentRow() == 3
    dock._take.click()
    until(lambda: any(row.reviewed for row in read_rows(tmp_path / "out" / TAGS_CSV)))
    until(lambda: not dock.control.work.active)
    by_id = {row.id: row for row in read_rows(tmp_path / "out" / TAGS_CSV)}
    assert by_id[shown[1].id].reviewed == "reject"
    assert "precision" in dock.precision.text()

    qtbot.mouseClick(
        dock.gallery.viewport(), Qt.MouseButton.LeftButton,
        pos=dock.gallery.visualItemRect(dock.gallery.item(1)).center(),
    )  # fmt: skip
    centre = dock.viewer.scene.camera.center[-2:]
    box = shown[1].box
    scale = dock.session.slide.image.scale[-2:]
    assert centre == pytest.approx([c * s for c, s in zip(box.centre, scale, strict=True)], abs=2)
    dock._fit.click()
    until((tmp_path / "out" / "detector.safetensors").is_file)
    until(lambda: not dock.control.work.active)
    dock._compare.click()
    until(lambda: "one patient" in dock.report.status.text())
