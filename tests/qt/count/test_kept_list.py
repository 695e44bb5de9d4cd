"""Counts are found again: the list of a slide's counts, and classes taught on one for the next."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.reader import read
from histoprompt._qt.shell.session import session_of
from histoprompt.core.geometry import Box
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.listed import listed_counts, taught_counts

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

FIRST, SECOND = Box(1150, 1450, 1350, 1650), Box(1350, 1450, 1478, 1578)
CHOICE = CountChoice(segmenter="classical-cells")


@pytest.fixture
def dock(make_napari_viewer, monkeypatch, tmp_path, sample_slide):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    for data, arguments, _ in read(sample_slide):
        viewer.add_image(data, **arguments)
    dock = CountDock(viewer)
    viewer.window.add_dock_widget(dock, area="right")
    dock.session.slide.take_lone()
    yield dock
    session_of(viewer).close()


def test_a_count_is_opened_again_and_its_classes_are_taken_over(dock, until, qtbot):
    counting, slide = dock.counting, dock.session.slide.slide
    kept = dock.region.kept
    assert not kept.isVisibleTo(dock)
    counting.count(slide, CHOICE, FIRST)
    until(lambda: len(kept.counts) == 1)
    first = len(counting.cells)
    ids = counting.cells.id.tolist()
    assert kept.counts[0].cells == first > 5
    classing = counting.classes
    classing.add_class("one")
    classing.add_class("other")
    area = counting.cells.area_um2
    small, large = area.argsort()[:3], area.argsort()[-3:]
    classing.label([ids[i] for i in small], "one")
    classing.label([ids[i] for i in large], "other")
    until(lambda: classing.fit is not None)

    counting.count(slide, CHOICE, SECOND)
    until(lambda: len(kept.counts) == 2 and counting.work.ground.box == SECOND)
    assert {c.where for c in kept.counts} == {"1150,1450,1350,1650", "1350,1450,1478,1578"}
    ways = dock.classes._ways
    ways.setCurrentIndex(ways.findText("an earlier count"))
    until(lambda: dock.classes.taught.count() == 1)
    assert dock.classes.taught.currentText().startswith("one, other (1150,1450,1350,1650")
    qtbot.mouseClick(dock.classes._take, Qt.MouseButton.LeftButton)
    until(lambda: "classes taught on the count" in classing.how)
    assert {"one", "other"} <= set(counting.cells.classes)

    kept.holder.expand(animate=False)
    kept.table.setFixedWidth(380)  # as in a narrow dock
    header = kept.table.horizontalHeader()
    qtbot.waitUntil(lambda: header.length() <= kept.table.viewport().width())
    made = header.count() - 1
    wanted = kept.table.sizeHintForColumn(made)
    assert header.sectionSize(made) >= wanted, "the date is not cut"
    row = next(i for i, c in enumerate(kept.counts) if c.where.startswith("1150"))
    assert kept.table.item(row, 2).text() == "one, other"
    kept.table.selectRow(row)
    qtbot.mouseClick(kept.open, Qt.MouseButton.LeftButton)
    until(lambda: counting.work.ground.box == FIRST and classing.fit is not None)
    assert len(counting.cells) == first
    assert classing.labelling.counts()["one"] == 3
    assert counting.work.dyes is not None
    assert [c.where for c in taught_counts(counting.work.folder)] == []
    assert len(listed_counts(slide.key)) == 2
