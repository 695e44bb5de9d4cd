"""The sample slide in napari with the docks open, for a person or without one.

Run as ``python -m histoprompt._qt.demo`` by ``histoprompt demo``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from histoprompt._qt.layers import make as layers
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.prompts.dock import PromptDock
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import write_labels
from histoprompt.core.slides.sample import PLACE, nuclei_near
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams
from histoprompt.pipelines.exchange.from_store import export_store

PLUGIN = "napari-histoprompt"
DOCKS = ("Prompt", "Text", "Models", "Export")
WAIT_S = 900.0
# How near the camera goes, screen pixels to a level-0 pixel.
ZOOM = 2.2


@dataclass(frozen=True)
class Demo:
    """A viewer with the sample slide and the docks open."""

    viewer: napari.Viewer
    dock: PromptDock

    @property
    def annotator(self) -> Annotator:
        """What works on the sample slide."""
        found = self.dock.annotator
        if found is None:
            raise HistopromptError(self.dock.annotating.reason or "The sample slide did not open.")
        return found


def open_demo() -> Demo:
    """Open napari with the sample slide and the docks ready."""
    viewer = napari.Viewer(title="histoprompt")
    viewer.window.resize(1500, 950)
    viewer.open_sample(PLUGIN, "slide")
    widgets = [viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True) for name in DOCKS]
    holder, prompt = widgets[0]
    QApplication.processEvents()  # tabs have an order only once they are laid out
    holder.raise_()
    return Demo(viewer, prompt)


def walk(demo: Demo, targets: Sequence[Box]) -> None:
    """Do what a user does: objects by box, click and scribble; a merge, a delete, undo and redo.

    Parameters
    ----------
    demo : Demo
    targets : sequence of Box
        Level-0 boxes of at least five nuclei.
    """
    annotator = demo.annotator
    for box in targets[:-2]:
        demo.dock.choose("box")
        annotator.prompts.boxes.add_rectangles(layers.box_vertices(box))
        _commit(annotator)
    demo.dock.choose("click +")
    annotator.prompts.points.add(targets[-2].centre)
    clicked = _commit(annotator)
    demo.dock.choose("scribble +")
    _scribble(annotator, targets[-1])
    scribbled = _commit(annotator)
    corrections = annotator.corrections
    for target in targets[:2]:
        corrections.click(*target.centre, "merge")
    annotator.undo()
    annotator.delete([scribbled])
    annotator.undo()
    annotator.redo()
    annotator.undo()
    annotator.status.emit(
        f"{annotator.store.count:,} objects; the last two are {clicked} and {scribbled}."
    )


def run_headless(out: Path) -> list[Path]:
    """Walk the whole path on the sample slide and leave labels, training set and picture.

    Parameters
    ----------
    out : Path
        Folder for ``labels.tif``, ``training_set/`` and ``window.png``.

    Returns
    -------
    list of Path
        What was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    demo = open_demo()
    annotator = demo.annotator
    try:
        if annotator.store.count:
            annotator.store.clear()
        show(demo, PLACE, ZOOM)
        walk(demo, [nucleus.frame.box for nucleus in nuclei_near(PLACE, 9)])
        labels, tiles, picture = out / "labels.tif", out / "training_set", out / "window.png"
        write_labels(labels, annotator.store, mpp=annotator.slide.mpp)
        export_store(annotator.slide, annotator.store, tiles, ExportParams(), Task())
        photograph(demo, picture)
    finally:
        # the window's parts go when Qt gets to it; labels and threads are let go now
        demo.dock.session.close()
        demo.viewer.close()
    return [labels, tiles, picture]


def show(demo: Demo, place: tuple[float, float], zoom: float) -> None:
    """Point the camera at a level-0 place, `zoom` screen pixels to a level-0 pixel."""
    image = demo.annotator.image
    demo.viewer.scene.camera.center = (0, *image.data_to_world(place))
    demo.viewer.scene.camera.zoom = zoom / image.scale[-1]
    demo.annotator.follow_view()


def photograph(demo: Demo, path: Path) -> None:
    """Save a picture of the whole window."""
    end = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > end)
    demo.viewer.screenshot(str(path), canvas_only=False, flash=False)


def wait_for(ready: Callable[[], bool], seconds: float = WAIT_S) -> None:
    """Serve the event loop until something is so.

    Raises
    ------
    TimeoutError
        If it is not within the given time.
    """
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"Nothing came of it within {seconds:.0f} s.")
        QApplication.processEvents()
        time.sleep(0.01)


def _scribble(annotator: Annotator, box: Box) -> None:
    """One stroke from corner to corner and back through the middle of a nucleus, as people draw."""
    middle = annotator.area.to_array([box.centre])[0]
    reach = 0.3 * np.array(box.shape) / annotator.area.scale
    corners = middle + reach * np.array([(-1, -0.6), (-0.6, 0.6), (0.6, -0.6), (1, 0.6)])
    layer = annotator.prompts.scribbles
    with layer.block_history():
        for start, end in pairwise(corners):
            for step in np.linspace(start, end, 12):
                layer.paint(tuple(np.rint(step).astype(int)), 1)


def _commit(annotator: Annotator) -> int:
    # a commit in mid-segmentation would wait for it, and name no object yet
    wait_for(lambda: annotator.preview.shown and not annotator.segmenting.active)
    (found,) = annotator.commit()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Open the demo, or walk it without a user."""
    parser = argparse.ArgumentParser(prog="histoprompt demo")
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("demo_output"))
    args = parser.parse_args(argv)
    if not args.headless:
        open_demo()
        napari.run()
        return 0
    try:
        written = run_headless(args.out)
    except (HistopromptError, TimeoutError, OSError) as error:
        sys.stderr.write(f"histoprompt demo: {error}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
