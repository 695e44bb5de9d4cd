"""Measure counting: speed by part, memory by number of cells, the count under other tiles.

    python benchmarks/bench_count.py [--slide FILE] [--region r0,c0,r1,c1] [--parts speed,memory]

Speed and tiles use real segmenters on a region of a slide. Memory uses a segmenter that draws a
lattice of discs at once (named in the table): what is measured is the way of cells to the disk, not
the network. Every size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.formats.open import open_slide
from histoprompt.core.geometry import Box
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.networks import lite_cells
from histoprompt.pipelines.cells import find as find_cells
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.cells.stains import stains_of
from histoprompt.pipelines.count import run as count
from histoprompt.pipelines.count import slide as count_slide
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.count.run import CountJob

RESULTS = Path(__file__).with_name("results") / "count.md"
PITCH, RADIUS = 20, 7
SEGMENTERS = ("histoprompt-cells", "classical-cells")


class Clock:
    """CPU seconds by name; what is timed inside something else is not counted twice."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    def timed(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its own time added up under a name."""

        def run(*args: Any, **options: Any) -> Any:
            outer, self._inner = self._inner, 0.0
            start = time.process_time()
            try:
                return fn(*args, **options)
            finally:
                whole = time.process_time() - start
                self.spent[name] += whole - self._inner
                self._inner = outer + whole

        return run


@contextmanager
def parts_timed(clock: Clock) -> Iterator[None]:
    """Time reading and the network apart; the rest of a count, decoding too, is post-processing."""
    with (
        mock.patch.object(find_cells, "read_frame", clock.timed("read", find_cells.read_frame)),
        mock.patch.object(ModelCells, "_segment", clock.timed("network", ModelCells._segment)),
        mock.patch.object(lite_cells, "decode", clock.timed("post", lite_cells.decode)),
    ):
        yield


def speed(slide: Slide, region: Box, segmenter: str) -> list[str]:
    """A row: cells a second, mm2 a minute, shares."""
    clock, manager = Clock(), ModelManager("auto")
    card = registry.card(segmenter)
    manager.load(card)
    job = CountJob(ModelCells(card, manager), {})
    run = clock.timed("post", count_slide.count_slide)
    with tempfile.TemporaryDirectory() as folder, parts_timed(clock):
        start = time.perf_counter()
        counted = run(slide, job, Path(folder), Task(), box=region)
        wall = time.perf_counter() - start
    cpu = sum(clock.spent.values())
    mm2 = region.area * (slide.mpp or 1) ** 2 / 1e6
    shares = [f"{clock.spent[n] / cpu:.0%}" for n in ("read", "network", "post")]
    rates = [f"{counted.tally.total / t:.1f}" for t in (wall, cpu)]
    areas = [f"{mm2 / t * 60:.3f}" for t in (wall, cpu)]
    return [segmenter, manager.device, str(counted.tally.total), *rates, *areas, *shares]


class WindowGrid:
    """A segmenter that finds a disc on every place of a lattice; it is not a model."""

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Label discs `PITCH` pixels apart, on the lattice of windows."""
        rows, cols = (n // PITCH for n in image.shape[:2])
        r, c = np.ogrid[:PITCH, :PITCH]
        disc = (r - PITCH / 2) ** 2 + (c - PITCH / 2) ** 2 <= RADIUS**2
        numbers = np.arange(1, rows * cols + 1, dtype=np.int32).reshape(rows, cols)
        out = np.zeros(image.shape[:2], np.int32)
        grid = numbers.repeat(PITCH, 0).repeat(PITCH, 1) * np.tile(disc, (rows, cols))
        out[: rows * PITCH, : cols * PITCH] = grid
        return out


class Flat:
    """A level of one colour, of any size."""

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, side: int) -> None:
        self.shape = (side, side, 3)

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[np.uint8]:
        rows, cols = (len(range(*k.indices(self.shape[0]))) for k in key[:2])
        return np.full((rows, cols, 3), (190, 140, 180), np.uint8)


def memory(cells: int, outlines: bool, pipe: Any) -> None:
    """Count so many cells and send the peak of the process in MiB, and seconds."""
    side = round(cells**0.5) * PITCH
    levels = [Flat(side), *(Flat(-(-side // n)) for n in (4, 16) if side > 4096)]
    slide = Slide("flat", "flat", tuple(levels), mpp=0.25, mpp_source="typed")
    card = ModelCard("lattice", "cells", "Lattice", "", input_size=200, window_stride=160, mpp=0.25)
    manager = ModelManager("cpu", 1000.0, load=lambda *_: WindowGrid())
    job = CountJob(ModelCells(card, manager), {}, 1024)
    ground = count_region(slide, slide.box)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        progress = count.count_cells(
            slide, ground, StainMatrix.published("H&E"), job, folder=Path(folder), task=Task()
        )
        with progress.store:
            found = len(progress.store)
            counting = time.process_time() - start
            counted = count_slide.CountResult(
                Path(folder), count_slide.tally(progress.store, ground), ground, 1, 1
            )
            skip = mock.patch.object(count_slide.count_files, "write_cells_geojson")
            with skip if not outlines else mock.MagicMock():
                count_slide._write(slide, job, progress, counted, Task())
    writing = time.process_time() - start - counting
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((found, peak, counting, writing))


def memory_row(cells: int, outlines: bool) -> list[str]:
    """A row of the memory table, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=memory, args=(cells, outlines, there))
    process.start()
    found, peak, counting, writing = here.recv()
    process.join()
    drawn = "yes" if outlines else "no"
    return [f"{found:,}", f"{peak:.0f}", f"{counting:.0f}", f"{writing:.0f}", drawn]


def places(slide: Slide, region: Box, segmenter: str, tile: int) -> set[tuple[float, float]]:
    """Centroids of a region counted in tiles of a size."""
    job = CountJob(ModelCells(registry.card(segmenter), ModelManager("auto")), {}, tile)
    ground = count_region(slide, region)
    dyes = stains_of(slide, ground.tissue, ground.box)
    with tempfile.TemporaryDirectory() as folder:
        done = count.count_cells(slide, ground, dyes, job, folder=Path(folder), task=Task())
        with done.store:
            return {
                (round(float(r["row"]), 2), round(float(r["col"]), 2))
                for records in done.store.batches()
                for r in records
            }


def tiles(slide: Slide, region: Box, segmenter: str) -> list[str]:
    """A row: the count under three tile sizes and a shifted origin, and cells that differ."""
    first, *others = (places(slide, region, segmenter, tile) for tile in (512, 256, 1024))
    moved = replace(region, r0=region.r0 - 77, c0=region.c0 - 130)
    shifted = {p for p in places(slide, moved, segmenter, 512) if region.contains(*p)}
    found = [others[0], first, others[1], shifted]
    return [segmenter, *(str(len(x)) for x in found), str(max(len(first ^ x) for x in found))]


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, default=sample_file(SLIDE))
    parser.add_argument("--region", default="200,400,2248,2448")
    parser.add_argument("--parts", default="speed,memory,tiles")
    parser.add_argument("--cells", default="10000,100000,1000000")
    args = parser.parse_args()
    slide, region = open_slide(args.slide), Box(*map(int, args.region.split(",")))
    kept = RESULTS.with_suffix(".json")
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    if "speed" in args.parts:
        found["speed"] = [speed(slide, region, name) for name in SEGMENTERS]
    if "tiles" in args.parts:
        found["tiles"] = [tiles(slide, region, name) for name in SEGMENTERS]
    if "memory" in args.parts:
        sizes = [int(n) for n in args.cells.split(",")]
        found["memory"] = [memory_row(n, n <= 1_000_000) for n in sizes]
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    found["machine"] = f"{platform.system()}, {os.cpu_count()} CPU cores, load average {load}"
    kept.write_text(json.dumps(found, indent=1) + "\n")
    RESULTS.write_text(report(found, args.slide.name, args.region))


def report(found: dict[str, Any], name: str, region: str) -> str:
    """The results as a page."""
    speed_head = ["segmenter", "device", "cells", "cells/s", "cells/s of CPU", "mm²/min"]
    speed_head += ["mm²/min of CPU", "read", "network", "post-processing"]
    sections = {
        "speed": speed_head,
        "tiles": ["segmenter", "tile 256", "512", "1024", "origin shifted", "cells that differ"],
        "memory": ["cells", "peak MiB", "CPU s counting", "CPU s writing", "outlines written"],
    }
    text = (
        f"`python benchmarks/bench_count.py`: {found['machine']}. Speed and tiles: {name}, region "
        f"{region}. Shares are of CPU time; post-processing is everything but reading and the "
        "network: nuclei from its maps, ownership, features, labels, tables, outlines, report. "
        "Memory: a segmenter that draws a disc every 20 px at once, so the way of cells to the "
        "disk is measured."
    )
    tables = [markdown(head, found[key]) for key, head in sections.items() if key in found]
    return "# Counting\n\n" + text + "\n\n" + "\n\n".join(tables) + "\n"


if __name__ == "__main__":
    main()
