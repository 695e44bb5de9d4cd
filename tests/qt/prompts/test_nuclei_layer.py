"""Nuclei outlined ahead of a click, and all nuclei of a box, in a real viewer."""

from __future__ import annotations

import numpy as np
import pytest
from five_nuclei import NUCLEI
from pointer import Pointer

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers import work_area
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell.session import session_of
from histoprompt.core.geometry import Box
from histoprompt.models import registry

pytestmark = pytest.mark.gui


def _outlined(dock, until) -> PromptDock:
    """Switch the outlines on, as a person does, and wait for them."""
    dock._outline.click()
    until(lambda: "click one" in dock._status.text())
    return dock


def _found(dock) -> list[tuple[int, int]]:
    """The nuclei of the picture that are outlined."""
    nuclei = dock.annotator.nuclei
    return [place for place in NUCLEI if nuclei._map.at(*place) is not None]


def _click(dock, place) -> None:
    dock.annotator.prompts.points.add(place)


def test_nothing_is_looked_for_until_it_is_asked_for(dock):
    annotator = dock.annotator
    assert not dock._outline.isChecked()
    assert not annotator.nuclei.layer.visible
    annotator.follow_view()
    assert annotator.nuclei._looking is None


def test_a_click_takes_the_outlined_nucleus_and_n_gives_the_model_s_masks(dock, until):
    annotator = _outlined(dock, until).annotator
    place = _found(dock)[0]
    nucleus = annotator.nuclei._map.at(*place)
    whole = nucleus.sample(annotator.area)
    _click(dock, place)
    # It is there at once, before the model has answered.
    assert np.array_equal(annotator.preview.layer.data > 0, whole)
    until(lambda: annotator.preview.candidates > 1)
    assert np.array_equal(annotator.preview.layer.data > 0, whole)
    annotator.next_candidate()
    assert annotator.preview.layer.data.any()
    assert annotator.preview.masks[0] is not nucleus
    annotator.next_candidate()
    assert annotator.preview.masks[0] is nucleus
    (found,) = annotator.commit()
    assert np.array_equal(annotator.store.read(annotator.slide.box) == found, whole)


def test_the_outline_of_a_committed_nucleus_goes_and_comes_back_with_undo(dock, until):
    annotator = _outlined(dock, until).annotator
    place = _found(dock)[0]
    box = annotator.nuclei._map.at(*place).frame.box.to_pixels()
    drawn = annotator.nuclei.layer.data[box.slices()].copy()
    assert drawn.any()
    _click(dock, place)
    annotator.commit()
    assert not annotator.nuclei.layer.data[box.slices()].any()
    _click(dock, place)
    until(lambda: "Press C" in dock._status.text())
    assert annotator.nuclei.under(annotator.prompts.prompt) is None
    annotator.undo()
    annotator.undo()
    assert np.array_equal(annotator.nuclei.layer.data[box.slices()], drawn)


def test_the_object_says_which_model_made_it(dock, until):
    annotator = _outlined(dock, until).annotator
    places = _found(dock)
    _click(dock, places[0])
    assert annotator.hand.info()["model"] == registry.DEFAULT_CELLS
    until(lambda: annotator.preview.candidates > 1)
    annotator.next_candidate()
    assert annotator.hand.info()["model"] == "classical"


def test_further_clicks_and_boxes_are_the_model_s_alone(dock, until):
    annotator = _outlined(dock, until).annotator
    first, second = _found(dock)[:2]
    _click(dock, first)
    _click(dock, second)
    assert annotator.nuclei.under(annotator.prompts.prompt) is None
    annotator.clear()
    annotator.prompts.boxes.add_rectangles(layers.box_vertices(Box.around(*first, 30)))
    assert annotator.nuclei.under(annotator.prompts.prompt) is None


def test_outlines_are_switched_off_again(dock, until):
    annotator = _outlined(dock, until).annotator
    place = _found(dock)[0]
    dock._outline.click()
    assert not annotator.nuclei.layer.visible
    _click(dock, place)
    until(lambda: "Press C" in dock._status.text())
    nucleus = annotator.nuclei._map.at(*place)
    assert all(mask is not nucleus for mask in annotator.preview._found[0].masks)


def test_the_eye_of_the_layer_and_the_box_in_the_dock_say_the_same(dock, until):
    annotator = dock.annotator
    annotator.nuclei.layer.visible = True
    assert dock._outline.isChecked()
    until(lambda: "click one" in dock._status.text())
    annotator.nuclei.layer.visible = False
    assert not dock._outline.isChecked()
    assert not dock.value().outline


def test_outlines_need_a_pixel_size_and_come_once_it_is_typed(
    make_napari_viewer, picture, monkeypatch, tmp_path, until
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    viewer.add_image(picture, name="no scale")
    dock = PromptDock(viewer)
    dock.set_value(PromptParams(outline=True))
    assert "pixel size" in dock._status.text()
    dock.images._mpp.setValue(0.25)
    until(lambda: "click one" in dock._status.text())
    assert len(_found(dock)) >= 3
    session_of(viewer).close()


def test_too_wide_a_view_asks_to_zoom_in(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer()
    levels = [np.full((6000 >> k, 9000 >> k, 3), 220, np.uint8) for k in range(4)]
    viewer.add_image(levels, name="slide", multiscale=True, scale=(0.25, 0.25), units=("um", "um"))
    dock = PromptDock(viewer)
    annotator = dock.annotator
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 750, 1100), 0.2
    assert max(work_area.view_box(viewer, annotator.image).shape) > 4096
    dock.set_value(PromptParams(outline=True))
    assert "Zoom in" in dock._status.text()
    assert annotator.nuclei._looking is None
    session_of(viewer).close()


def test_all_nuclei_of_a_drawn_box_are_committed_and_the_box_is_gone(dock, until):
    annotator = dock.annotator
    box = Box(0, 0, 145, 95)
    annotator.prompts.boxes.add_rectangles(layers.box_vertices(box))
    dock._class.setText("plasma cell")
    dock._actions["find_all"].click()
    until(
        lambda: (
            "in the box of the class 'plasma cell'" in dock._status.text()
            and "Found" in dock._status.text()
        )
    )
    assert annotator.prompts.empty
    labels = annotator.store.read(annotator.slide.box)
    inside = [place for place in NUCLEI if box.contains(*place)]
    assert any(labels[place] for place in inside)
    assert {annotator.store.class_of(i) for i in annotator.store.ids()} == {"plasma cell"}
    assert not any(labels[place] for place in NUCLEI if place not in inside)
    annotator.undo()
    assert annotator.store.count == 0


def test_typing_a_class_leaves_the_mask_in_hand_alone(dock, until):
    annotator = dock.annotator
    _click(dock, NUCLEI[0])
    until(lambda: "Press C" in dock._status.text())
    annotator.preview.layer.paint((100, 100), 1)
    painted = annotator.preview.layer.data.copy()
    dock._class.setText("lymphocyte")
    dock._form.row("rule").setCurrentIndex(1)
    assert annotator.segmenting._running is None or not annotator.segmenting._running.active
    assert np.array_equal(annotator.preview.layer.data, painted)


def test_with_a_pointer_on_the_canvas(make_napari_viewer, picture, monkeypatch, tmp_path, until):
    """The default model, outlines, a real click, and the key that keeps the object."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    viewer.add_image(picture, name="picture", scale=(0.25, 0.25), units=("um", "um"))
    dock = PromptDock(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt")
    assert dock.models.card.id == registry.DEFAULT
    annotator = _outlined(dock, until).annotator
    place = _found(dock)[-1]
    Pointer(annotator).click(place)
    assert annotator.preview.shown
    until(lambda: annotator.preview.candidates == 4)
    assert annotator.commit()
    assert annotator.store.read(annotator.slide.box)[place] > 0
    session_of(viewer).close()
