"""The Train dock in a viewer: a count is learnt from, broken off, gone on with, and a model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch")

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.shell.session import session_of
from histoprompt._qt.training.dock import TrainDock
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.training.label_params import LabelTrainingParams

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]

SMALL = LabelTrainingParams(name="tiny", steps=12, batch=1, tile=64, variants=1)


@pytest.fixture
def docks(make_napari_viewer, picture, monkeypatch, tmp_path) -> Iterator[tuple]:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    count, train = CountDock(viewer), TrainDock(viewer)
    for dock, name in ((count, "Count"), (train, "Train")):
        viewer.window.add_dock_widget(dock, name=name)
    yield count, train
    session_of(viewer).close()


def test_labels_are_learnt_from_in_the_window(docks, until):
    count, train = docks
    counting = count.session.part(Counting)
    train.set_value(SMALL)
    train._go.click()
    assert "No object is committed" in train.report.status.text()
    train._source.setCurrentIndex(1)
    train._go.click()
    assert "No cell is counted" in train.report.status.text()
    slide = count.session.slide.slide
    counting.count(slide, CountChoice(segmenter="classical-cells"), slide.box.to_pixels())
    until(lambda: counting.work is not None)
    assert not train._again.isVisibleTo(train)
    train._go.click()
    assert train.report.busy.isVisibleTo(train)
    until(lambda: bool(train.chart._points))
    train.report.cancel.click()
    until(lambda: not train.report.busy.isVisibleTo(train))
    assert "Go on" in train.report.status.text()
    assert train._again.isVisibleTo(train)
    train._again.click()
    until(lambda: not train.report.busy.isVisibleTo(train))
    assert "held out: F1" in train._result.text()
    assert train.chart._points[-1][0] == SMALL.steps
    titles = [count.region._segmenter.itemText(i) for i in range(count.region._segmenter.count())]
    assert "tiny" in titles, "the Count dock offers the new model"
    assert not train._again.isVisibleTo(train)
