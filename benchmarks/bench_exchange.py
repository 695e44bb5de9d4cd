"""How long objects take to come in and to go out, and how much memory: by their number.

Each number is a process of its own, so that its peak is its own. Objects are nuclei of 32 corners,
one every 50 pixels.

    python benchmarks/bench_exchange.py [--numbers 1000,100000,1000000] [--steps NAMES] [--out FILE]
    python benchmarks/bench_exchange.py --numbers 1000000 --steps geojson --drawn

With `--drawn` the objects are drawn into the store, not imported: for exports alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

if TYPE_CHECKING:
    from histoprompt.annotations.store import LabelStore

STEP, CORNERS = 50, 32
# Nuclei along the side of what is drawn at once.
BLOCK = 40
FORMATS = ("geoparquet", "labels", "ome-zarr", "geojson")
STEPS = (*FORMATS, "undo")


def nuclei_file(path: Path, number: int) -> None:
    """Write QuPath detections on a grid."""
    rng = np.random.default_rng(0)
    columns = int(np.ceil(np.sqrt(number)))
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    with path.open("w") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for n in range(number):
            r, c = divmod(n, columns)
            radius = 14 + 3 * rng.random() + 1.5 * np.sin(3 * turn)
            x = (c + 0.5) * STEP + radius * np.cos(turn)
            y = (r + 0.5) * STEP + radius * np.sin(turn)
            ring = np.stack([x, y], axis=1).round(2).tolist()
            feature = {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {"objectType": "detection", "classification": {"name": "ab"[n % 2]}},
            }
            file.write("," * (n > 0) + json.dumps(feature))
        file.write("]}")


def draw_nuclei(store: LabelStore, number: int) -> None:
    """The same grid of nuclei, drawn into a label store block by block."""
    from histoprompt.core.geometry import Box

    columns = int(np.ceil(np.sqrt(number)))
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:STEP, :STEP] - STEP / 2 + 0.5
    angle, far = np.arctan2(rows, cols), np.hypot(rows, cols)
    stencils = [far < 14 + 3 * rng.random() + 1.5 * np.sin(3 * angle) for _ in range(20)]
    with store.group("drawn"):
        for r0 in range(0, columns, BLOCK):
            for c0 in range(0, columns, BLOCK):
                r, c = np.mgrid[r0 : min(r0 + BLOCK, columns), c0 : min(c0 + BLOCK, columns)]
                ids = np.where(r * columns + c < number, r * columns + c + 1, 0)
                block = np.zeros((ids.shape[0] * STEP, ids.shape[1] * STEP), np.uint32)
                for (i, j), label in np.ndenumerate(ids):
                    window = block[i * STEP : (i + 1) * STEP, j * STEP : (j + 1) * STEP]
                    window[stencils[label % len(stencils)]] = label
                h, w = block.shape
                top, left = r0 * STEP, c0 * STEP
                store.write(Box(top, left, top + h, left + w), block)
    assert len(store.ids()) == number


def measure(number: int, steps: tuple[str, ...], *, drawn: bool) -> None:
    """Print seconds, CPU seconds and peak memory in MiB of each step as it ends, a line each."""
    from histoprompt.annotations.store import LabelStore
    from histoprompt.core.slides.slide import Slide
    from histoprompt.core.task import Task
    from histoprompt.pipelines.exchange.export import ExportParams
    from histoprompt.pipelines.exchange.from_store import export_store
    from histoprompt.pipelines.exchange.import_labels import import_all
    from histoprompt.pipelines.exchange.incoming import read_incoming

    side = int(np.ceil(np.sqrt(number))) * STEP
    slide = Slide.from_arrays("grid", np.broadcast_to(np.uint8(200), (side, side, 3)), mpp=0.25)
    process = psutil.Process()
    start = process.memory_info().rss

    def timed(name: str, run):
        _forget_peak()
        before, cpu = time.perf_counter(), time.process_time()
        result = run()
        peak = process.memory_info().peak_wset if os.name == "nt" else _peak()
        took = time.perf_counter() - before, time.process_time() - cpu
        print(json.dumps([name, *took, (peak - start) / 2**20]), flush=True)
        return result

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if not drawn:
            nuclei_file(folder / "in.geojson", number)
        with LabelStore.open(folder / "store", slide.shape, slide.key) as store:
            if drawn:
                draw_nuclei(store, number)
            else:
                path = folder / "in.geojson"
                incoming = [timed("read", lambda: read_incoming(slide, path, Task()))]
                timed("import", lambda: import_all(store, incoming, Task()))
                assert len(store.ids()) == number
                incoming.clear()
            for name in (n for n in FORMATS if n in steps):
                params = ExportParams(format=name)
                run = lambda p=params, n=name: export_store(slide, store, folder / n, p, Task())  # noqa: E731
                timed(f"export {name}", run)
            if "undo" in steps:
                timed("undo of the import", store.undo)
                assert not len(store.ids())


def _forget_peak() -> None:
    """Let the most memory taken begin anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """The most memory taken since `_forget_peak`, in bytes."""
    import resource

    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(rows: dict[int, dict[str, tuple[float, float, float]]]) -> str:
    """The page of results."""
    lines = [
        "# Import and export",
        "",
        f"Nuclei of {CORNERS} corners from QuPath's GeoJSON into the label store, and out again. "
        "Seconds on the clock, seconds of the processor (one thread), and the most memory the "
        "process took during the step beyond what Python and the libraries take. Corners of "
        "outlines wait in a temporary file and the labels of an edit in another; ids, classes and "
        "places of objects stay in memory as arrays.",
        "",
        "| objects | step | seconds | CPU seconds | memory, MiB |",
        "|---|---|---|---|---|",
    ]
    for number, steps in rows.items():
        for name, (clock, cpu, memory) in steps.items():
            lines.append(f"| {number:,} | {name} | {clock:.1f} | {cpu:.1f} | {memory:.0f} |")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    lines += [
        "",
        f"{platform.machine()}, {os.cpu_count()} processors, load {load:.1f} at the end; "
        "`python benchmarks/bench_exchange.py`.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure each number in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", default="1000,100000,1000000")
    parser.add_argument("--steps", default=",".join(STEPS), help="after reading and importing")
    parser.add_argument("--drawn", action="store_true", help="not read and imported")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.one, tuple(args.steps.split(",")), drawn=args.drawn)
        return
    rows: dict[int, dict[str, tuple[float, float, float]]] = {}
    for number in map(int, args.numbers.split(",")):
        rows[number] = {}
        command = [sys.executable, __file__, "--one", str(number), "--steps", args.steps]
        command += ["--drawn"] * args.drawn
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                name, *figures = json.loads(line)
                rows[number][name] = tuple(figures)
                print(number, name, *(f"{figure:.1f}" for figure in figures), flush=True)
                if args.out:  # a million takes long: what there is can be read meanwhile
                    args.out.write_text(report(rows), encoding="utf-8")
        if child.returncode:
            sys.exit(f"{number} objects: ended with {child.returncode}")


if __name__ == "__main__":
    main()
