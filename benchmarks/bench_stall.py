"""How long the window freezes while a slow job runs in the batch lane.

A timer beats every millisecond in the GUI thread of a real napari viewer; the time between two
beats is how long the GUI could not react. Each job runs beside a viewer at rest and beside one
whose image is moved ten times a second. Then everything a person does in the docks is done once,
see ``stall_acts.py``, which also runs by itself.

    xvfb-run -a -s "-screen 0 1600x1000x24" \\
        python benchmarks/bench_stall.py --out benchmarks/results/stall.md
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import stall_acts

SECONDS = 4.0
AIM_MS = 50
# Side of the image on show, small enough for a software renderer to draw at ease.
SIDE = 500


@dataclass
class Figures:
    job: str
    moving: bool
    gaps_ms: np.ndarray

    def row(self) -> str:
        g = self.gaps_ms
        view = "moving" if self.moving else "at rest"
        over = int((g > AIM_MS).sum())
        return (
            f"| {self.job} | {view} | {len(g)} | {np.median(g):.1f} | {np.percentile(g, 99):.1f} "
            f"| {g.max():.0f} | {over} |"
        )


def nothing(task):
    while True:
        time.sleep(0.01)
        task.step(0, 0)


def python_loop(task):
    while True:
        sum(i * i for i in range(20_000))
        task.step(0, 0)


def numpy_loop(task):
    a = np.random.default_rng(0).random((2000, 2000))
    while True:
        a = np.sqrt(np.abs(np.sort(a, axis=0) - a.mean()) + 1)
        task.step(0, 0)


def many_steps(task):
    while True:
        task.step(0, 0, "as many reports as it can")


def embed_forever(manager, card):
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)

    def embed(task):
        while True:
            with manager.lease(card, task) as model:
                model.embed(image)
            task.step(0, 0)

    return embed


def first_load(manager, card):
    def load(task):
        manager.load(card, task)
        while True:
            time.sleep(0.01)
            task.step(0, 0)

    return load


class Heart:
    """Beats every millisecond in the GUI thread and notes when."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.beats: list[float] = []
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self._beat)
        self.timer.start(1)

    def _beat(self) -> None:
        self.beats.append(time.perf_counter())


def listen(viewer, jobs, name: str, fn: Callable, moving: bool) -> Figures:
    """Run a job for a while and take the times between beats."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, heart, mover = QEventLoop(), Heart(), QTimer()
    step = iter(range(10**9))

    def move() -> None:
        k = next(step)
        viewer.scene.camera.center = (
            0,
            SIDE / 2 + 99 * np.sin(k / 5),
            SIDE / 2 + 99 * np.cos(k / 5),
        )

    mover.timeout.connect(move)
    if moving:
        mover.start(100)
    job = jobs.submit(fn, lane="batch", on_progress=lambda p: None)
    QTimer.singleShot(int(SECONDS * 1000), loop.quit)
    loop.exec()
    mover.stop()
    heart.timer.stop()
    job.cancel()
    while job.active:
        QTimer.singleShot(10, loop.quit)
        loop.exec()
    return Figures(name, moving, np.diff(heart.beats) * 1e3)


def measure(viewer, jobs, device: str) -> list[Figures]:
    from histoprompt.models import registry
    from histoprompt.models.memory.manager import ModelManager

    manager = ModelManager(device)
    card = registry.card("litemedsam")
    work = {
        "none": nothing,
        "pure Python": python_loop,
        "numpy (sort, sqrt)": numpy_loop,
        "progress reports only": many_steps,
        "first use: import torch, load LiteMedSAM": first_load(manager, card),
        "LiteMedSAM embeddings": embed_forever(manager, card),
    }
    found = []
    for name, fn in work.items():
        for moving in (False, True) if "first" not in name else (False,):
            found.append(listen(viewer, jobs, name, fn, moving))
            print(found[-1].row(), flush=True)
    return found


def report(figures: list[Figures], args: argparse.Namespace) -> str:
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    head = (
        "# Longest freeze of the window beside a job in the batch lane\n\n"
        f'Aim: under {AIM_MS} ms. "none" is what the viewer and the machine do by themselves.\n\n'
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load average {load}, switch interval {1e3 * sys.getswitchinterval():g} ms, "
        f"{SECONDS:g} s each.\n\n"
        "| job | view | beats | median ms | 99 % ms | longest ms | over aim |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(f.row() for f in figures) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--switch-ms", type=float, help="override the interpreter's interval")
    parser.add_argument("--torch-threads", type=int)
    args = parser.parse_args()
    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "napari.yaml")

    import napari

    from histoprompt._qt.shell.jobs import Jobs

    if args.torch_threads:
        os.environ["OMP_NUM_THREADS"] = str(args.torch_threads)
    viewer = napari.Viewer()
    viewer.window.resize(700, 500)
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    viewer.add_image(image, rgb=True)
    jobs = Jobs(notify=print)
    if args.switch_ms:
        sys.setswitchinterval(args.switch_ms / 1e3)
    text = report(measure(viewer, jobs, args.device), args)
    jobs.shutdown(20)
    viewer.close()
    text += "\n## What a person does\n\nAim: napari's own for the like, and 100 ms.\n\n"
    text += stall_acts.table(stall_acts.measure())
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text)


if __name__ == "__main__":
    main()
