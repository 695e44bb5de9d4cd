"""The Prompt dock where layers, slides and viewers come and go."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from five_nuclei import NUCLEI
from prompt_clicks import click, commit_click

from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell.session import session_of
from histoprompt.core.geometry import Box

pytestmark = pytest.mark.gui


def test_keep_and_overwrite_decide_shared_pixels(dock):
    annotator = dock.annotator
    for rule, owner in (("keep", 1), ("overwrite", 3)):
        dock.set_value(PromptParams(rule=rule))
        annotator.preview.layer.brush_size = 20
        annotator.preview.layer.paint((60, 60), 1)
        annotator.commit()
        annotator.preview.layer.paint((60, 70), 1)
        annotator.commit()
        assert annotator.store.read(Box(60, 65, 61, 66))[0, 0] in (owner, owner + 1)
        kept = annotator.store.read(Box(60, 65, 61, 66))[0, 0]
        assert kept == (1 if rule == "keep" else annotator.store.next_id() - 1)


def test_labels_come_back_when_the_image_is_chosen_again(dock, until):
    image = dock.annotator.image
    found = commit_click(dock, until, *NUCLEI[0])
    dock.session.slide.choose(None)
    assert layers.COMMITTED not in dock.viewer.layers
    dock.session.slide.choose(image)
    annotator = dock.annotator
    assert annotator.store.ids().tolist() == [found]
    assert annotator.committed.layer.data[NUCLEI[0]] == found
    assert "restored" in dock._status.text()


@pytest.mark.parametrize("name", [layers.POINTS, layers.CURRENT, layers.COMMITTED, "picture"])
def test_a_layer_deleted_under_the_dock_loses_nothing(dock, until, name):
    image = dock.annotator.image
    found = commit_click(dock, until, *NUCLEI[0])
    dock.viewer.layers.remove(name)
    until(lambda: dock.annotator is None)
    assert "safe" in dock._status.text()
    if name != "picture":
        dock.session.slide.choose(image)
        assert dock.annotator.store.ids().tolist() == [found]


def test_closing_the_viewer_mid_job_is_quiet(make_napari_viewer, picture, qtbot):
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="picture")
    dock = PromptDock(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt")
    click(dock, *NUCLEI[0])
    session = session_of(viewer)
    store = dock.annotator.store
    viewer.close()
    del dock
    gc.collect()
    qtbot.wait(100)
    session.close()
    assert store.folder.exists()


def test_two_viewers_do_not_disturb_each_other(dock, make_napari_viewer, until):
    other = make_napari_viewer()
    rng = np.random.default_rng(1)
    other.add_image(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8), name="other")
    second = PromptDock(other)
    assert second.session is not dock.session
    assert second.session.manager is dock.session.manager
    commit_click(dock, until, *NUCLEI[0])
    assert second.annotator.store.count == 0
    assert dock.annotator.store.count == 1
    second.session.close()


def test_the_same_picture_in_two_viewers_is_only_looked_at_in_the_second(
    dock, make_napari_viewer, picture, until
):
    first = dock.annotator
    click(dock, *NUCLEI[0])
    until(lambda: first.preview.shown)
    (kept,) = first.commit()
    other = make_napari_viewer()
    other.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    second = PromptDock(other)
    annotator = second.annotator
    assert "only be looked at here" in second._status.text()
    assert annotator.store.ids().tolist() == [kept]
    assert annotator.committed.at(*NUCLEI[0]) == kept
    assert not annotator.committed.layer.editable
    annotator.delete([kept])
    assert "opened to read only" in second._status.text()
    assert annotator.store.ids().tolist() == first.store.ids().tolist() == [kept]
    second.session.close()
    click(dock, *NUCLEI[1])
    until(lambda: first.preview.shown)
    assert len(first.commit()) == 1, "the first window goes on editing"


def test_a_typed_pixel_size_is_recorded_as_typed(
    make_napari_viewer, picture, monkeypatch, tmp_path
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="picture")
    dock = PromptDock(viewer)
    assert dock.annotator.slide.mpp is None
    dock.images._mpp.setValue(0.5)
    annotator = dock.annotator
    assert (annotator.slide.mpp, annotator.slide.mpp_source) == (0.5, "typed")
    assert annotator.image.scale.tolist() == [0.5, 0.5]
    assert annotator.committed.layer.scale.tolist() == [0.5, 0.5]
    assert annotator.image.metadata["histoprompt"]["mpp_source"] == "typed"
    dock.session.close()


def test_the_work_area_follows_the_view_on_a_large_slide(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    levels = [np.full((6000 >> k, 9000 >> k, 3), 220, np.uint8) for k in range(4)]
    viewer.add_image(levels, name="slide", multiscale=True)
    dock = PromptDock(viewer)
    annotator = dock.annotator
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 5000, 8000), 1.0
    annotator.follow_view()
    assert annotator.area.scale == (1, 1)
    assert annotator.area.box.contains(5000, 8000)
    row, col = annotator.area.to_array([[5000, 8000]])[0].astype(int)
    annotator.committed.layer.paint((row, col), 4)
    assert annotator.store.read(Box(5000, 8000, 5001, 8001))[0, 0] == 4
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 3000, 4500), 0.1
    annotator.follow_view()
    scale = round(annotator.area.scale[0])
    assert scale > 1
    i, j = annotator.area.to_array([[5000, 8000]])[0].round().astype(int)
    near = annotator.committed.layer.data[i - 1 : i + 2, j - 1 : j + 2]
    assert (near == 4).any()
    dock.session.close()


def test_finding_nuclei_without_a_pixel_size_asks_for_it(make_napari_viewer, picture, until):
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="no scale")
    dock = PromptDock(viewer)
    dock._actions["find_all"].click()
    until(lambda: "pixel size" in dock._status.text())
    assert dock.annotator.store.count == 0
    dock.session.close()
