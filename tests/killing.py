"""Runs of a recipe on several slides whose processes are killed at random, and gone on with.

`python benchmarks/kill_runs.py` kills fifty; the test suite kills a few.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import tifffile

from histoprompt.pipelines.recipes.unit import Unit, UnitResult

ROOT = Path(__file__).resolve().parents[1]
# What tells of a run and not of the slides: how long it took, who wrote.
_OF_THE_RUN = {"run.json", "summary.csv"}
_OF_WRITERS = {"writer.json", "writer.lock"}


# How often it is the scheduler that is killed, and not a worker.
SCHEDULER = 0.3
# What is counted of a small slide: two tiles, of which the classical model sees one window each.
REGION, TILE = (144, 144, 240, 336), 96


def make_slides(folder: Path, count: int, shape: tuple[int, int] = (352, 448)) -> list[Path]:
    """Small slides: parts of the sample slide, each another."""
    with tifffile.TiffFile(ROOT / "sample_data" / "slide.ome.tif") as tiff:
        pixels = tiff.series[0].levels[0].asarray()
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for n in range(count):
        row = (700 + 150 * n) % (pixels.shape[0] - shape[0])
        col = (1100 + 110 * n) % (pixels.shape[1] - shape[1])
        made.append(folder / f"s{n}.tif")
        tifffile.imwrite(
            made[-1], np.ascontiguousarray(pixels[row : row + shape[0], col : col + shape[1]]),
            photometric="rgb", tile=(256, 256), compression="deflate",
            resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
        )  # fmt: skip
    return made


def digests(out: Path) -> dict[str, str]:
    """Of all files of results."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and path.relative_to(out).parts[0] not in {".run", *_OF_THE_RUN}
        and path.name not in _OF_WRITERS
    }


def command(recipe: Path, slides: Sequence[Path], out: Path, *more: str) -> list[str]:
    """The run as a command."""
    named = map(str, slides)
    return [sys.executable, "-m", "histoprompt.cli", "run", str(recipe), *named,
            "--unchecked", "--out", str(out), *more]  # fmt: skip


def environment() -> dict[str, str]:
    """Of the processes: one moment for all files, one thread each."""
    paths = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    fixed = {"SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return {**os.environ, **fixed}


@dataclass
class Killed:
    """What was done to the runs.

    Attributes
    ----------
    workers, schedulers : int
        Processes that were killed.
    runs : int
        That were begun.
    """

    workers: int = 0
    schedulers: int = 0
    runs: int = 0


@contextlib.contextmanager
def _running(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def run_and_kill(
    words: Sequence[str], out: Path, dice: random.Random, killed: Killed, longest: float
) -> bool:
    """One run, whose processes are killed until it ends; whether any was before its end.

    A killed scheduler ends it; after a killed worker it goes on with a new one.

    Parameters
    ----------
    words : sequence of str
        The command.
    out : Path
        Of its results.
    dice : random.Random
    killed : Killed
        Is added to.
    longest : float
        Seconds between two kills, at most.
    """
    killed.runs += 1
    before = killed.workers + killed.schedulers
    for left in (out / ".run").glob("share-*"):
        left.unlink(missing_ok=True)
    with _running(words) as process:
        while process.poll() is None and not any((out / ".run").glob("share-*")):
            time.sleep(0.05)
        while True:
            time.sleep(dice.uniform(0, longest))
            children = _children(process.pid)
            if process.poll() is not None or not children:
                return killed.workers + killed.schedulers > before
            if dice.random() < SCHEDULER:
                killed.schedulers += 1
                process.kill()
                psutil.wait_procs(
                    children
                )  # they end by themselves, and hold their slide till then
                return True
            killed.workers += 1
            with contextlib.suppress(psutil.NoSuchProcess):
                dice.choice(_workers(children)).kill()


def finish(words: Sequence[str]) -> int:
    """One run to its end; its exit status."""
    return subprocess.run(
        words, env=environment(), stdout=subprocess.DEVNULL, check=False
    ).returncode


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _workers(children: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that work; the others keep account of what these share."""
    found = []
    for one in children:
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(one.cmdline()):
                found.append(one)
    return found or list(children)


def held(unit: Unit, avoided: Sequence[str]) -> UnitResult:
    """Stands for the work on a slide: it ends once there is a file ``go`` in the slide's folder."""
    while not (Path(unit.folder) / "go").exists():
        time.sleep(0.02)
    return UnitResult(unit.name, "done")
