"""How long the window freezes in what a person does, beside what napari itself takes for the like.

Each act is done once, in the order a person meets them, in one real viewer.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

PLUGIN = "napari-histoprompt"
# After an act so long is waited for what it sets off, seconds.
SETTLE_S = 1.5
ANSWERS = 4


@dataclass
class Act:
    what: str
    longest_ms: float
    busy_ms: float
    took_s: float

    def row(self) -> str:
        longest, busy = f"{self.longest_ms:.0f}", f"{self.busy_ms:.0f}"
        return f"| {self.what} | {longest} | {busy} | {self.took_s:.1f} |"


class Watch:
    """Does things and takes the longest time between two beats of the GUI thread.

    And the most processor time of that thread between two beats, which other programs on the
    machine hardly change: of two acts in one run, these can be compared.
    """

    def __init__(self) -> None:
        from qtpy.QtWidgets import QApplication

        self._serve = QApplication.processEvents
        self.acts: list[Act] = []

    def act(
        self, what: str, do: Callable[[], object], ready: Callable[[], bool] = lambda: True
    ) -> None:
        beats, busy = [time.perf_counter()], [time.thread_time()]
        do()
        end = None
        while end is None or beats[-1] < end:
            self._serve()
            time.sleep(0.001)
            beats.append(time.perf_counter())
            busy.append(time.thread_time())
            if end is None and ready():
                end = beats[-1] + SETTLE_S
        longest, most = (float(np.diff(times).max()) * 1e3 for times in (beats, busy))
        self.acts.append(Act(what, longest, most, beats[-1] - beats[0] - SETTLE_S))
        print(self.acts[-1].row(), flush=True)


def of_napari(viewer, watch: Watch) -> None:
    from napari.layers import Image, Labels, Points, Shapes

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2000, 2000, 3), np.uint8)
    watch.act("napari: nothing", lambda: None)
    watch.act("napari: add an image", lambda: viewer.add_layer(Image(image, rgb=True)))
    labels = Labels(np.zeros((2000, 2000), np.int32))
    watch.act("napari: add labels", lambda: viewer.add_layer(labels))
    points = Points(rng.random((500, 2)) * 2000)
    watch.act("napari: add points", lambda: viewer.add_layer(points))

    def recolour() -> None:
        points.face_color = rng.random((500, 4))

    watch.act("napari: colour points", recolour)
    watch.act("napari: zoom", lambda: setattr(viewer.scene.camera, "zoom", 0.7))
    watch.act("napari: remove points", lambda: viewer.layers.remove(points))

    def prompting() -> None:
        for _ in range(5):
            viewer.add_layer(Labels(np.zeros((2000, 2000), np.uint8)))
        for _ in range(2):
            viewer.add_layer(Shapes(ndim=2))
        viewer.add_layer(Points(ndim=2))

    watch.act("napari: add the eight layers of the Prompt dock", prompting)
    more = Points(rng.random((500, 2)) * 2000)
    watch.act("napari: add points once more", lambda: viewer.add_layer(more))
    viewer.layers.clear()


def openings(viewer, watch: Watch) -> Iterator[tuple[str, object]]:
    from histoprompt.core.slides.sample import SLIDE, sample_file

    watch.act("open a slide", lambda: viewer.open(str(sample_file(SLIDE)), plugin=PLUGIN))
    with suppress(ImportError):
        from histoprompt._qt.shell.warming import warm

        watch.act("imports in the background", warm, lambda: not warm().is_alive())
    for name in ("Prompt", "Count", "Cells", "Text", "Models", "Export"):
        found = []
        watch.act(
            f"open {name}",
            lambda n=name, f=found: f.append(viewer.window.add_plugin_dock_widget(PLUGIN, n)),
        )
        yield name, found[0][1]


def words(text, watch: Watch) -> None:
    control = text.control
    text.area.choose("slide")

    def type_word(word: str) -> None:
        text.words._line.setText(word)
        text.words._line.returnPressed.emit()

    for what, word in (("first", "tumour"), ("second", "stroma"), ("third", "lymphocyte")):
        watch.act(
            f"{what} word",
            partial(type_word, word),
            lambda word=word: control.work is not None and word in control.work.texts,
        )
    for what, word in (("first", "giraffe"), ("second", "zebra")):
        watch.act(
            f"{what} word that is refused",
            partial(type_word, word),
            lambda word=word: word not in text.words.texts,
        )
    watch.act("choose another word", lambda: text.words._list.setCurrentRow(0))
    best = [int(t) for t in control.work.scores.top("tumour", 3)]
    for tile in best:
        centre = control.work.scores.box(tile).centre
        watch.act("mark a tile", lambda c=centre: control.mark_at(*c, yes=True))


def cells(text, watch: Watch) -> None:
    from histoprompt._qt.count.controller import Counting

    counting = text.session.part(Counting)
    classing = counting.classes
    text.cells.choose("classical-cells")
    text.cells._words.setText("tumour, lymphocyte")
    watch.act(
        "find regions and count cells",
        text.cells._all.click,
        lambda: not text.control.batch.active,
    )
    if text.control.cells.counts is None:
        print(f"No cells: {text._status.text()}")
        return
    watch.act(
        "wait for a cell that is offered",
        lambda: None,
        lambda: classing.suggestion is not None or not counting._jobs._active,
    )
    text.control.layers.show_cells(text.control.cells.counts.cells)
    for number in range(1, ANSWERS + 1):
        before = classing.suggestion
        if before is None:
            print("No cell is offered.")
            break
        watch.act(
            f"answer {number} beside the layer of the Text dock",
            lambda: classing.answer("a"),
            lambda old=before: classing.suggestion is not old,
        )
    for number in range(1, 4):
        done = len(counting.audit.seen) if counting.audit is not None else -1
        if done < 0:
            watch.act(
                "audit: draw fields",
                lambda: counting.begin_audit(5, 0),
                lambda: counting.audit is not None,
            )
        else:
            watch.act(
                f"audit: enter field {number - 1}",
                lambda: counting.keep_audit(counting.audit.entered(counting.truth)),
            )


def measure(*, counting: bool = True) -> list[Act]:
    """Do everything in a new viewer, with or without what takes a count, and close it."""
    import os

    import napari

    os.environ["HISTOPROMPT_HOME"] = tempfile.mkdtemp()
    viewer, watch = napari.Viewer(), Watch()
    viewer.window.resize(1200, 800)
    of_napari(viewer, watch)
    docks = dict(openings(viewer, watch))
    words(docks["Text"], watch)
    if counting:
        cells(docks["Text"], watch)
    start = time.perf_counter()
    docks["Text"].session.close()
    viewer.close()
    took = (time.perf_counter() - start) * 1e3
    watch.acts.append(Act("close", took, took, 0.0))
    return watch.acts


def table(acts: list[Act]) -> str:
    head = "| act | longest freeze ms | most busy ms | took s |\n|---|---:|---:|---:|\n"
    return head + "\n".join(act.row() for act in acts) + "\n"


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--without-counting", action="store_true", help="it takes minutes")
    args = parser.parse_args()
    found = table(measure(counting=not args.without_counting))
    print(found)
    if args.out is not None:
        args.out.write_text(found)
