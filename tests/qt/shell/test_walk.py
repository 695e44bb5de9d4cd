"""The whole path as a user walks it: sample slide, prompts, corrections, export, read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from histoprompt._qt.demo import DOCKS, Demo, photograph, run_headless, show
from histoprompt._qt.exchange.dock import ExportDock
from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt._qt.shell.session import session_of
from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import read_labels
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.pipelines.exchange.export import ExportParams
from histoprompt.pipelines.formats.tiles import read_tiles
from truth import PLACE, Nucleus, nuclei_near

pytestmark = pytest.mark.gui


@pytest.fixture
def demo(
    make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Demo]:
    """A shown viewer with the sample slide and all docks, as `histoprompt demo` opens it."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1500, 950)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    widgets = [
        viewer.window.add_plugin_dock_widget("napari-histoprompt", name, tabify=True)[1]
        for name in DOCKS
    ]
    widgets[0].models.choose("classical")
    yield Demo(viewer, widgets[0])
    session_of(viewer).close()


def commit(dock: PromptDock, until: Any) -> int:
    """Press Commit, wait until the object is kept, and say which one that made.

    A commit that is pressed while the model still answers waits for the answer.
    """
    store = dock.annotator.store
    before = set(store.ids().tolist())
    until(dock._actions["commit"].isEnabled)
    dock._actions["commit"].click()
    until(lambda: set(store.ids().tolist()) - before)
    (made,) = set(store.ids().tolist()) - before
    return made


def by_box(demo: Demo, nucleus: Nucleus, until: Any) -> int:
    demo.dock.choose("box")
    demo.annotator.prompts.boxes.add_rectangles(layers.box_vertices(nucleus.box))
    return commit(demo.dock, until)


def by_click(demo: Demo, nucleus: Nucleus, until: Any) -> int:
    demo.dock.choose("click +")
    demo.annotator.prompts.points.add(nucleus.middle)
    return commit(demo.dock, until)


def by_scribble(demo: Demo, nucleus: Nucleus, until: Any) -> int:
    demo.dock.choose("scribble +")
    row, col = demo.annotator.area.to_array([nucleus.middle])[0].round().astype(int)
    scribbles = demo.annotator.prompts.scribbles
    with scribbles.block_history():
        for step in range(-4, 5):
            scribbles.paint((row, col + step), 1)
    return commit(demo.dock, until)


def correct(demo: Demo, action: str, *nuclei: Nucleus) -> None:
    """Press Merge or Delete, and click the objects."""
    button = demo.dock._correct[action]
    button.click()
    assert button.isChecked()
    for nucleus in nuclei:
        demo.annotator.corrections.click(*nucleus.middle, action)


def stored(demo: Demo) -> NDArray[np.uint32]:
    return demo.annotator.store.read(demo.annotator.slide.box)


def ids(demo: Demo) -> set[int]:
    return set(np.unique(stored(demo)).tolist()) - {0}


def canvas(demo: Demo) -> NDArray[np.int16]:
    """What the canvas shows now, (rows, cols, 3)."""
    return demo.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(np.int16)


def around(demo: Demo, nucleus: Nucleus, picture: NDArray[np.int16]) -> NDArray[np.int16]:
    """The part of a picture of the canvas where the middle of a nucleus is drawn."""
    world = np.array(demo.annotator.image.data_to_world(nucleus.middle))
    camera = demo.viewer.scene.camera
    offset = (world - np.array(camera.center[-2:])) * camera.zoom
    row, col = (np.array(picture.shape[:2]) / 2 + offset).round().astype(int)
    return picture[row - 3 : row + 4, col - 3 : col + 4]


def test_from_the_sample_slide_to_a_training_set_and_back(demo, until, tmp_path):
    first, second, third = nuclei_near(3)
    show(demo, PLACE, 2.0)
    before = canvas(demo)
    assert before.max() > 150
    assert before.std() > 10

    boxed = by_box(demo, first, until)
    clicked = by_click(demo, second, until)
    scribbled = by_scribble(demo, third, until)
    labels = stored(demo)
    for value, nucleus in zip((boxed, clicked, scribbled), (first, second, third), strict=True):
        assert nucleus.iou(labels == value) > 0.6
    after = canvas(demo)
    for nucleus in (first, second, third):
        changed = np.abs(around(demo, nucleus, after) - around(demo, nucleus, before))
        assert changed.mean() > 15

    correct(demo, "merge", first, second)
    merged = min(boxed, clicked)
    assert ids(demo) == {merged, scribbled}
    correct(demo, "delete", third)
    assert ids(demo) == {merged}
    demo.dock._actions["undo"].click()
    assert ids(demo) == {merged, scribbled}
    demo.dock._actions["undo"].click()
    assert np.array_equal(stored(demo), labels)
    demo.dock._actions["redo"].click()
    assert ids(demo) == {merged, scribbled}
    area = demo.annotator.area.box
    assert demo.annotator.area.scale == (1, 1)
    assert np.array_equal(demo.annotator.committed.layer.data, stored(demo)[area.slices()])

    exporter = demo.viewer.window._qt_window.findChild(ExportDock)
    exporter.set_value(ExportParams())
    exporter._folder.setText(str(tmp_path / "set"))
    exporter._go.click()
    until(lambda: exporter._status.text().startswith("2 objects"))
    found = read_tiles(tmp_path / "set").labels
    assert np.array_equal(found.read(demo.annotator.slide.box), stored(demo))

    photograph(demo, tmp_path / "window.png")
    with Image.open(tmp_path / "window.png") as window:
        pixels = np.asarray(window.convert("RGB"))
    assert min(pixels.shape[:2]) > 600
    assert pixels.std() > 20


def test_an_undone_object_leaves_the_picture(demo, until):
    (nucleus,) = nuclei_near(1)
    show(demo, PLACE, 2.0)
    before = around(demo, nucleus, canvas(demo))
    by_box(demo, nucleus, until)
    shown = around(demo, nucleus, canvas(demo))
    assert np.abs(shown - before).mean() > 15
    demo.dock._actions["undo"].click()
    assert demo.annotator.preview.shown, "its prompt is in hand again"
    demo.dock._actions["undo"].click()
    gone = around(demo, nucleus, canvas(demo))
    assert np.abs(gone - before).mean() < 2


def test_the_headless_demo_leaves_labels_a_training_set_and_a_picture(
    make_napari_viewer, monkeypatch, tmp_path
):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    # The fixture looks after the viewers that are left and closes them.
    monkeypatch.setattr("histoprompt._qt.demo.napari.Viewer", make_napari_viewer)
    labels, tiles, picture = run_headless(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "labels.tif",
        "training_set",
        "window.png",
    ]
    source = read_labels(labels)
    assert source.shape == (2400, 3000)
    exported = read_tiles(tiles).labels
    whole = Box.of_shape(source.shape)
    assert np.array_equal(exported.read(whole), source.read(whole))
    assert len(np.unique(source.read(whole))) - 1 == 9
    with Image.open(picture) as window:
        assert np.asarray(window.convert("RGB")).std() > 20
