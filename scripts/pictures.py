"""The pictures of the documentation, taken of the real plugin on the sample slide.

Nothing in them is drawn by hand: a window is opened, the demo's walk is walked, and what a person
would see is photographed. ``make pictures`` runs it; on a machine without a display::

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/pictures.py
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from histoprompt._qt.demo import Demo

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1400
MAX_BYTES = 700_000
# Side of the region that is counted, level-0 pixels.
COUNTED = 400


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    args = parser.parse_args()
    # The user's settings and labels stay out of the pictures, and the pictures out of them.
    with tempfile.TemporaryDirectory(prefix="histoprompt-") as home:
        os.environ.update(HISTOPROMPT_HOME=home, NAPARI_CONFIG=str(Path(home, "napari.yaml")))
        take_all(args.out)
    return 0


def take_all(out: Path) -> None:
    """Walk the demo once and photograph it on the way.

    Parameters
    ----------
    out : Path
        Folder for ``prompt.png``, ``models.png``, ``export.png``, ``count.png``, ``text.png``.
    """
    from histoprompt._qt import demo as stage
    from histoprompt.core.slides.sample import PLACE, nuclei_near

    out.mkdir(parents=True, exist_ok=True)
    demo = stage.open_demo()
    try:
        stage.show(demo, PLACE, stage.ZOOM)
        stage.walk(demo, [nucleus.frame.box for nucleus in nuclei_near(PLACE, 14)])
        _point(demo)
        _save(out / "prompt.png", lambda path: stage.photograph(demo, path))
        _examine(demo)
        _save(out / "models.png", lambda path: stage.photograph(demo, path))
        _export(demo)
        _save(out / "export.png", lambda path: stage.photograph(demo, path))
        _find_words(demo)
        _save(out / "text.png", lambda path: stage.photograph(demo, path))
        _count(demo)
        _save(out / "count.png", lambda path: stage.photograph(demo, path))
    finally:
        demo.viewer.close()


def _point(demo: Demo) -> None:
    """Leave one object in hand: a click and what the model makes of it."""
    from histoprompt._qt import demo as stage
    from histoprompt.core.slides.sample import PLACE, nuclei_near

    annotator = demo.annotator
    target = nuclei_near(PLACE, 15)[-1].frame.box
    demo.dock.choose("click +")
    annotator.prompts.points.add(target.centre)
    stage.wait_for(lambda: annotator.preview.shown)


def _examine(demo: Demo) -> None:
    """Raise the Models dock and run the check-up."""
    from qtpy.QtWidgets import QPushButton

    from histoprompt._qt import demo as stage
    from histoprompt._qt.models.dock import ModelsDock

    dock = _raised(demo, "Models", ModelsDock)
    buttons = {button.text(): button for button in dock.findChildren(QPushButton)}
    buttons["Check-up"].click()
    stage.wait_for(lambda: not buttons["Check-up"].isEnabled())
    stage.wait_for(buttons["Check-up"].isEnabled)


def _export(demo: Demo) -> None:
    """Raise the Export dock and export, in a working folder that is nobody's."""
    from qtpy.QtWidgets import QLabel, QLineEdit, QPushButton

    from histoprompt._qt import demo as stage
    from histoprompt._qt.exchange.dock import ExportDock

    dock = _raised(demo, "Export", ExportDock)
    with tempfile.TemporaryDirectory(prefix="histoprompt-") as folder:
        field = next(
            f for f in dock.findChildren(QLineEdit) if f.placeholderText() == "a new folder"
        )
        field.setText(str(Path(folder, "training_set")))
        next(b for b in dock.findChildren(QPushButton) if b.text() == "Export").click()
        texts = dock.findChildren(QLabel)
        stage.wait_for(lambda: any("objects in" in label.text() for label in texts))


def _count(demo: Demo) -> None:
    """Count what is around the place of the demo, and teach two classes by a few cells."""
    from histoprompt._qt import demo as stage
    from histoprompt._qt.count.dock import CountDock
    from histoprompt._qt.layers.make import box_vertices
    from histoprompt._qt.shell.drawn_area import AREA, DrawnArea
    from histoprompt.core.geometry import Box

    dock = CountDock(demo.viewer)
    demo.viewer.window.add_dock_widget(dock, name="Count", tabify=True)
    stage.wait_for(lambda: True)
    dock.parentWidget().raise_()
    area = DrawnArea(demo.viewer, demo.annotator.image)
    area.draw()
    area.layer.add_rectangles(box_vertices(Box.around(*stage.PLACE, COUNTED)))
    dock.region.area.choose("drawn")
    dock.count()
    stage.wait_for(lambda: dock.counting.work is not None)
    cells, classing = dock.counting.cells, dock.counting.classes
    by_area = cells.id[cells.area_um2.argsort()].tolist()
    for name, examples in (("large", by_area[-4:]), ("small", by_area[:4])):
        classing.add_class(name)
        classing.label(examples, name)
    stage.wait_for(lambda: classing.fit is not None and len(classing.fit.examples) == 2)
    dock.tabs.setCurrentIndex(1)
    dock.show_cells_dock()
    for layer in demo.viewer.layers:  # those of the pictures before
        layer.visible = layer.name in {"slide", AREA, "counted_cells", "labelled_cells"}
    stage.show(demo, stage.PLACE, 1.2)


def _find_words(demo: Demo) -> None:
    """Raise the Text dock, find tissue by words on the whole slide, and mark some tiles."""
    from qtpy.QtWidgets import QDialog

    from histoprompt._qt import demo as stage
    from histoprompt._qt.text.dock import TextDock
    from histoprompt.pipelines.text.text_embedding import ScoreParams

    dock = _raised(demo, "Text", TextDock)
    control = dock.control
    for notice in demo.dock.window().findChildren(QDialog):
        notice.close()
    demo.viewer.fit_to_view()
    dock.set_value(ScoreParams(texts=("stroma", "fat", "tumour")))
    dock.area.choose("slide")
    dock.run()
    stage.wait_for(lambda: control.work is not None)
    tiles = control.work.scores.top("tumour", len(control.work.scores)).tolist()
    dock.calibration.answering.emit(True)
    for tile in (*tiles[:4:2], *tiles[-40:-10:15]):
        control.mark_at(*control.work.scores.box(tile).centre, tile in tiles[:4])
    stage.wait_for(lambda: "4 marks" in control.work.origin("tumour"))


def _raised(demo: Demo, title: str, kind: type) -> Any:
    """The dock of this title, in front of the others."""
    from qtpy.QtWidgets import QApplication, QDockWidget

    window = demo.dock.window()
    found = next(d for d in window.findChildren(QDockWidget) if title in d.windowTitle())
    found.raise_()
    QApplication.processEvents()
    return found.findChildren(kind)[0]


def _save(path: Path, take: Callable[[Path], None]) -> None:
    """Photograph, shrink to the page's width, and quantise if the file is large."""
    take(path)
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > WIDTH:
        height = round(picture.height * WIDTH / picture.width)
        picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    picture.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        # Pillow dithers only towards colours it is given.
        colours = picture.quantize(256, kmeans=2)
        picture = picture.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
        picture.save(path, optimize=True)
    sys.stdout.write(f"{path.name}: {picture.size}, {path.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    sys.exit(main())
