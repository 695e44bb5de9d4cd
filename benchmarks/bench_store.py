"""How long edits of a slide's labels take, and what they leave on the disk.

Run ``python benchmarks/bench_store.py [--out benchmarks/results/store.md]``.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

SHAPE = (100_000, 80_000)
LARGE_SHAPE = (250_000, 250_000)
SMALL, LARGE = 100, 2048
Times = tuple[float, float, float]


def ellipse(row: int, col: int, side: int) -> Mask:
    rows, cols = np.mgrid[:side, :side] - (side - 1) / 2
    inside = rows**2 + cols**2 <= (side / 2) ** 2
    return Mask(inside, Frame(Box(row, col, row + side, col + side), (side, side)), 0.9)


def nuclei(side: int, step: int = 32, size: int = 22) -> np.ndarray:
    """A tissue-like field: an object of `size` pixels every `step` pixels."""
    labels = np.zeros((side, side), np.uint32)
    inside = ellipse(0, 0, size).array
    for n, r in enumerate(range(0, side - size, step)):
        for m, c in enumerate(range(0, side - size, step)):
            labels[r : r + size, c : c + size][inside] = 1 + n * (side // step) + m
    return labels


def times(action: Callable[[int], object], repeats: int) -> Times:
    """Milliseconds: median and 95th percentile by the clock, median of the processor."""
    taken = []
    for i in range(repeats):
        clock, cpu = time.perf_counter(), time.process_time()
        action(i)
        taken.append((time.perf_counter() - clock, time.process_time() - cpu))
    clocks, cpus = np.array(taken).T * 1e3
    return float(np.median(clocks)), float(np.percentile(clocks, 95)), float(np.median(cpus))


def fsync_times(folder: Path) -> Times:
    """What the disk itself takes to keep one small record: the floor of every edit."""
    with (folder / "probe").open("wb", buffering=0) as file:

        def keep(_: int) -> None:
            file.write(b"x" * 2000)
            os.fsync(file.fileno())

        return times(keep, 50)


@contextmanager
def opened(folder: Path):
    with LabelStore.open(folder, SHAPE, "bench") as store:
        yield store


def edit_rows(folder: Path) -> list[tuple[str, float, float, float]]:
    rng = np.random.default_rng(0)
    spots = rng.integers(0, 79_000, (200, 2))
    field = nuclei(LARGE)
    rows = [("one write through to the disk (floor of every edit)", *fsync_times(folder))]
    with opened(folder / "edits") as store:
        here = [(1000 + 110 * (i // 20), 1000 + 110 * (i % 20)) for i in range(200)]
        rows.append(
            (
                "commit, 100 px, near the last",
                *times(lambda i: store.commit(ellipse(*here[i], SMALL)), 100),
            )
        )
        rows.append(
            (
                "commit, 100 px, anywhere",
                *times(lambda i: store.commit(ellipse(*spots[i], SMALL)), 100),
            )
        )
        stroke = np.full((SMALL, SMALL), 7)
        paint = lambda i: store.write(Box(*spots[i], *(spots[i] + SMALL)), stroke)  # noqa: E731
        rows.append(("paint, 100 px", *times(paint, 100)))
        rows.append(("undo of that", *times(lambda _: store.undo(), 50)))
        rows.append(("redo of that", *times(lambda _: store.redo(), 50)))
        big = lambda i: store.write(  # noqa: E731
            Box(20_000 + 3000 * i, 20_000, 20_000 + 3000 * i + LARGE, 20_000 + LARGE), field + 1000
        )
        rows.append((f"write, {LARGE} px, {field.max()} objects", *times(big, 5)))
        rows.append(("undo of that", *times(lambda _: store.undo(), 5)))
        rows.append(("redo of that", *times(lambda _: store.redo(), 5)))
        window = Box(19_000, 19_000, 23_096, 23_096)
        rows.append(("read, 4096 px", *times(lambda _: store.read(window), 5)))
    return rows


def reopen_rows(folder: Path, edits: int) -> tuple[list[tuple[str, float, float, float]], str]:
    """A store with many edits: opened after a proper end, and after a kill."""
    path = folder / "many"
    with opened(path) as store:
        start = time.perf_counter()
        for i in range(edits):
            store.commit(ellipse(1000 + 60 * (i // 100), 1000 + 60 * (i % 100), 50))
        rate = (time.perf_counter() - start) / edits * 1e3
        size = store.journal_bytes
    rows = [(f"open, {edits} edits, closed properly", *times(lambda _: opened_once(path), 5))]
    with opened(path) as store:
        for i in range(200):
            store.commit(ellipse(9000, 1000 + 60 * i, 50))
        state = {p: p.read_bytes() for p in path.glob("checkpoint.npz")}
    for p, data in state.items():
        p.write_bytes(data)
    rows.append(("open after a kill, 200 edits to replay", *times(lambda _: opened_once(path), 1)))
    note = (
        f"{edits} commits of 50 px took {rate:.1f} ms each; the journal is then "
        f"{size / 2**20:.1f} MiB, {size / edits:.0f} bytes an edit."
    )
    return rows, note


def large_rows(folder: Path, objects: int) -> list[tuple[str, float, float, float]]:
    """A slide of 250,000 pixels a side with very many objects: opened, and painted on."""
    path, step, side = folder / "large", 16, 2048
    field, each = nuclei(side, step, 12), (side // step) ** 2
    with LabelStore.open(path, LARGE_SHAPE, "large") as store:
        for n in range(max(1, objects // each)):
            row, col = n // 8 * side, n % 8 * side
            box = Box(row, col, row + side, col + side)
            store.write(box, np.where(field > 0, field + n * each, 0))
        count = store.count
    name = f"{count:,} objects on {LARGE_SHAPE[0]:,} pixels a side"

    def open_once(_: int) -> None:
        LabelStore.open(path, LARGE_SHAPE, "large").close()

    rows = [(f"open, {name}", *times(open_once, 3))]
    spots = np.random.default_rng(1).integers(100_000, 240_000, (50, 2))
    stroke = np.full((SMALL, SMALL), 7)
    with LabelStore.open(path, LARGE_SHAPE, "large") as store:
        paint = lambda i: store.write(Box(*spots[i], *(spots[i] + SMALL)), stroke)  # noqa: E731
        rows.append((f"paint, 100 px, {name}", *times(paint, 30)))
    return rows


def opened_once(path: Path) -> None:
    with opened(path):
        pass


def report(edits: int, objects: int) -> str:
    process, before = psutil.Process(), psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as root:
        rows = edit_rows(Path(root))
        reopen, note = reopen_rows(Path(root), edits)
        reopen += large_rows(Path(root), objects) if objects else []
    grown = (process.memory_info().rss - before) / 2**20
    lines = [
        "# The label store: what an edit costs",
        "",
        f"A slide of {SHAPE[0]:,} x {SHAPE[1]:,} pixels, nine levels, all of them up to date after "
        "every edit.",
        f"{platform.system()}, {os.cpu_count()} CPU cores, other work beside it: load "
        f"{os.getloadavg()[0]:.1f} at the end. Made by `benchmarks/bench_store.py`.",
        "",
        "| what | median ms | p95 ms | median CPU ms |",
        "|---|---:|---:|---:|",
    ]
    for name, *figures in rows + reopen:
        lines.append(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")
    lines += ["", note, f"The process grew by {grown:.0f} MiB over all of this.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--edits", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=1_000_000, help="0 leaves this part out")
    arguments = parser.parse_args()
    text = report(arguments.edits, arguments.objects)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
