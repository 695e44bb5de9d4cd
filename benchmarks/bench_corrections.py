"""How long a correction takes, from the hand's doing to what the window shows of it.

Paint, split, merge, expand and refine in a real viewer on the sample slide, each timed until the
labels are on disk and the layer is drawn from them; and the answer to a click that refines, until
the mask is shown.

    xvfb-run -a python benchmarks/bench_corrections.py --out benchmarks/results/corrections.md
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Times = dict[str, list[tuple[float, float]]]
WAIT_S = 60.0
NAPARI = "napari's own stroke, nothing kept"


def measure(rounds: int, model: str) -> tuple[Times, int]:
    """Times of every correction, and how many objects there were beside the corrected ones."""
    import napari

    from histoprompt._qt.prompts.dock import PromptDock
    from histoprompt._qt.shell.session import session_of
    from histoprompt.core.slides.sample import SLIDE, sample_file

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    viewer.open(str(sample_file(SLIDE)), plugin="napari-histoprompt")
    dock = PromptDock(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt")
    dock.models.choose(model)
    annotator = dock.annotator
    found: Times = defaultdict(list)
    commit_sample(annotator)
    ids = annotator.store.ids().tolist()
    chosen = np.random.default_rng(0).permutation(ids)[:rounds]
    for object_id in chosen.tolist():
        stroke_of_napari(annotator, found)
        correct(annotator, object_id, found)
    session_of(viewer).close()
    viewer.close()
    return found, len(ids)


def stroke_of_napari(annotator: Any, found: Times) -> None:
    """The same stroke on a plain layer of napari's, in the same window: nothing is kept of it."""
    viewer = annotator.viewer
    layer = viewer.add_labels(np.zeros(annotator.committed.area.shape, np.int32), name="plain")
    layer.mode, layer.brush_size = "paint", 6
    at = np.array(layer.data.shape) / 2
    with timed(found, NAPARI), layer.block_history():
        for step in range(12):
            layer.paint((at[0] + 12, at[1] + step), 1)
    viewer.layers.remove(layer)


def commit_sample(annotator: Any) -> None:
    """Commit the sample's true nuclei, as one edit."""
    import tifffile

    from histoprompt.core.slides.sample import LABELS, sample_file

    truth = tifffile.imread(sample_file(LABELS)).astype(np.uint32)
    change = annotator.store.write(annotator.store.box, truth)
    annotator.committed.show_change(change, "Committed the sample's nuclei")


def correct(annotator: Any, object_id: int, found: Times) -> None:
    """Every correction once on one object; each is taken back before the next."""
    from qtpy.QtWidgets import QApplication

    store, edits, depth = annotator.store, annotator.edits, len(annotator.steps.titles)
    box, count = store.box_of(object_id), store.count
    row, col = box.centre
    annotator.viewer.scene.camera.center = annotator.image.data_to_world((row, col))
    annotator.viewer.scene.camera.zoom = 4 / annotator.image.scale[-1]
    annotator.follow_view()
    QApplication.processEvents()
    annotator.committed.rule = "overwrite"  # there is not always room for a stroke
    with timed(found, "paint a stroke"):
        paint(annotator, row, col)
    take_back(annotator, depth)
    annotator.committed.rule = "keep"
    with timed(found, "split by a line"):
        edits.split(np.array([[row, box.c0 - 3.0], [row, box.c1 + 3.0]]))
    if store.count > count:
        with timed(found, "merge two"):
            annotator.merge([object_id, int(store.ids()[-1])])
    take_back(annotator, depth)
    with timed(found, "expand"):
        edits.reshape("expand", [object_id])
    take_back(annotator, depth)
    with timed(found, "take up again"):
        annotator.refine(object_id)
    answers: list[object] = []
    annotator.segmenting.answered.connect(answers.append)
    with timed(found, "click that refines, to its mask"):
        annotator.prompts.points.add((box.r0, col))
        wait(lambda: bool(answers))
    annotator.segmenting.answered.disconnect(answers.append)
    with timed(found, "commit of what was refined"):
        annotator.commit()
    take_back(annotator, depth)


def take_back(annotator: Any, depth: int) -> None:
    """Undo all steps but the first `depth`."""
    while len(annotator.steps.titles) > depth:
        annotator.undo()


def paint(annotator: Any, row: float, col: float) -> None:
    """A stroke of twelve dabs, as napari's brush makes them."""
    layer = annotator.committed.layer
    layer.mode, layer.brush_size = "paint", 6
    at = annotator.committed.area.to_array([[row, col]])[0]
    with layer.block_history():
        for step in range(12):
            layer.paint((at[0] + 12, at[1] + step), layer.selected_label)


class timed:  # noqa: N801 - reads as what it is
    """Adds the seconds spent inside, by the clock and of the CPU, the window drawn anew too."""

    def __init__(self, found: Times, name: str) -> None:
        self._found, self._name = found, name

    def __enter__(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        from qtpy.QtWidgets import QApplication

        QApplication.processEvents()
        taken = time.perf_counter() - self._start, time.process_time() - self._cpu
        self._found[self._name].append(taken)


def wait(done: Callable[[], bool]) -> None:
    """Serve the window until something is so."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + WAIT_S
    while not done() and time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def rows(found: Times) -> Iterator[str]:
    plain = np.median([cpu for _, cpu in found[NAPARI]])
    for name, seconds in found.items():
        ms, cpu = 1e3 * np.array(seconds).T
        yield (
            f"| {name} | {len(ms)} | {np.median(ms):.0f} | {np.percentile(ms, 95):.0f} "
            f"| {ms.min():.0f} | {np.median(cpu):.0f} | {np.percentile(cpu, 95):.0f} "
            f"| {np.median(cpu) / (1e3 * plain):.1f} |"
        )


def report(found: Times, objects: int, model: str, load: tuple[float, ...]) -> str:
    before = ", ".join(f"{x:.1f}" for x in load)
    head = (
        "# How long a correction takes\n\n"
        f"`python benchmarks/bench_corrections.py`: {platform.system()}, {os.cpu_count()} CPU "
        f"cores, load average {before} before and {os.getloadavg()[0]:.1f} after; sample slide "
        f"with {objects} objects, window of 1366 x 768, model {model}. From the call to the labels "
        "on disk and the window drawn anew. CPU ms: what all threads of the process used, which "
        "other work on the machine disturbs less; times napari: the same CPU time over that of a "
        "stroke on a plain layer of napari's in the same window. The first click loads the "
        "model.\n\n"
        "| correction | n | median ms | p95 ms | least ms | CPU ms | p95 CPU ms | times napari |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    return head + "\n".join(rows(found)) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--out", type=Path, default=root / "benchmarks/results/corrections.md")
    parser.add_argument("--rounds", type=int, default=20, help="objects that are corrected")
    parser.add_argument("--model", default="histoprompt-lite")
    args = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HISTOPROMPT_HOME"] = folder
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        found, objects = measure(args.rounds, args.model)
    args.out.write_text(report(found, objects, args.model, load), encoding="utf-8")


if __name__ == "__main__":
    main()
