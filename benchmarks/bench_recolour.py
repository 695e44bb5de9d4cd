"""How long it takes to show new classes of many cells in napari.

Cells of 12 x 12 pixels lie on a grid; the window shows them all (from a reduced copy), or a part
pixel by pixel. Timed is all that happens on the GUI thread: the lookup table, the columns of
`layer.features`, what is in view, and drawing it. Beside it, napari's own way: a colour an id
(`DirectLabelColormap`). Needs a display::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/bench_recolour.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "recolour.md"
PITCH = 16
# Above it napari's map from ids to colours wants numba.
NAPARI_LIMIT = 60_000
CLASSES = ("tumour", "stroma", "lymphocyte", "unsure")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HISTOPROMPT_HOME=home, NAPARI_CONFIG=str(Path(home, "napari.yaml")))
        rows = [measure(n, args.repeats) for n in args.cells]
    text = "\n".join([HEAD, *rows]) + "\n"
    print(text)
    args.out.write_text(text, encoding="utf-8")


HEAD = """\
`python benchmarks/bench_recolour.py`: all cells get new random classes; medians of 7 on the GUI
thread, in a window 1500 pixels wide. Software OpenGL (llvmpipe) on 2 shared CPU cores: drawing is
slower than on any graphics card, and nearly all of the time whatever the number of cells. napari's
own map needs numba above 65,000 ids.

| cells | table and columns, ms | from afar, ms | pixel by pixel, ms (CPU) | a colour an id, ms |
|---:|---:|---:|---:|---:|"""


def measure(cells: int, repeats: int) -> str:
    import napari
    from qtpy.QtWidgets import QApplication

    from histoprompt._qt.count.class_colours import colormap_of
    from histoprompt._qt.count.layers import _features
    from histoprompt.core.cell_table import CellTable

    side = round(cells**0.5)
    ids = grid(side)
    n = side * side
    rng = np.random.default_rng(0)
    table = CellTable(
        np.arange(1, n + 1), *rng.random((3, n)), CLASSES, np.zeros(n, np.int16),
        np.zeros(n, np.float32), rng.random((n, 8), np.float32), tuple("abcdefgh"),
    )  # fmt: skip
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1500, 950)
    levels = [ids]
    while max(levels[-1].shape) > 1024:
        levels.append(levels[-1][::2, ::2])
    layer = viewer.add_labels(levels, multiscale=True, colormap=colormap_of(CLASSES))
    layer.features = _features(table)

    def recolour(draw: bool) -> None:
        codes = rng.integers(0, len(CLASSES), n).astype(np.int16)
        show(layer, table.classified(CLASSES, codes, table.score), draw)
        if draw:
            viewer.window._qt_viewer.canvas.on_draw(None)
            QApplication.processEvents()

    silent, _ = timed(lambda: recolour(False), repeats)
    viewer.fit_to_view()
    far, _ = timed(lambda: recolour(True), repeats)
    viewer.scene.camera.zoom = 1.0
    near, cpu = timed(lambda: recolour(True), repeats)
    own = napari_way(viewer, layer, n) if n < NAPARI_LIMIT else float("nan")
    viewer.close()
    shown = "refused" if np.isnan(own) else f"{own:.0f}"
    return f"| {n:,} | {silent:.1f} | {far:.0f} | {near:.0f} ({cpu:.0f}) | {shown} |"


def show(layer: Any, cells: Any, draw: bool) -> None:
    """What `CountLayers.recolour` does, with and without telling the canvas."""
    import pandas as pd

    from histoprompt._qt.count.class_colours import colormap_of

    layer.features["class"] = pd.Categorical.from_codes(cells.code, list(cells.classes))
    layer.features["score"] = cells.score
    wanted = colormap_of(cells.classes)
    wanted.show(cells.id, cells.code)
    if draw:
        layer.colormap = wanted
        layer.events.features()


def napari_way(viewer: Any, layer: Any, n: int) -> float:
    """A map with a colour for every id, once."""
    from napari.utils import DirectLabelColormap
    from qtpy.QtWidgets import QApplication

    colours = np.array([(0, 0.6, 0.4, 1), (0.9, 0.6, 0, 1), (0.3, 0.7, 0.9, 1), (0.7, 0.7, 0.7, 1)])
    codes = np.random.default_rng(1).integers(0, 4, n)
    start = time.perf_counter()
    chosen: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    chosen |= {i + 1: colours[c] for i, c in enumerate(codes.tolist())}
    layer.colormap = DirectLabelColormap(color_dict=chosen)
    QApplication.processEvents()
    return (time.perf_counter() - start) * 1e3


def grid(side: int) -> np.ndarray:
    """Squares of 12 x 12 pixels, 4 apart, numbered row by row; uint32."""
    row = np.repeat(np.arange(side, dtype=np.uint32), PITCH)
    inside = (np.arange(side * PITCH) % PITCH) < 12
    ids = row[:, None] * np.uint32(side) + row[None, :] + np.uint32(1)
    ids[~inside] = 0
    ids[:, ~inside] = 0
    return ids


def timed(call: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Median wall and CPU milliseconds; the first call is not counted."""
    call()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    main()
