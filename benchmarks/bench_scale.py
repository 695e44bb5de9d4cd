"""Many slides: processes, the scheduler, memory, a large project, bytes over a network.

    python benchmarks/bench_scale.py [--slides 6] [--side 512] [--out benchmarks/results/scale.md]

Runs `histoprompt run` on parts of the sample slide, in one process and in two of a local Dask
cluster, with the model that counts unasked. On a machine that others use too wall time tells
little, so CPU seconds stand beside it: what two processes spend on a slide against what one does
says how fast they can be at best. `python benchmarks/scale_costs.py` works out what large studies
cost from the table.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import http_server  # noqa: E402
import killing  # noqa: E402

RECIPE = 'format = 1\n\n[[steps]]\nstep = "count"\n'
FINISHED, ROWS = 200, 10_000
WAIT = 12.0
FEW = 2
AIM = "at least 1.8"
# Load average below which wall time is told.
IDLE = 1.0


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes
    ----------
    wall, cpu : float
        Seconds; CPU of all of its processes.
    peak : float
        MiB that its largest process held.
    """

    wall: float
    cpu: float
    peak: float


def spent(words: list[str]) -> Spent:
    """Run a command to its end, and watch its processes."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    with subprocess.Popen(words, env=killing.environment(), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                mine = psutil.Process(process.pid)
                held = [p.memory_info().rss for p in (mine, *mine.children(recursive=True))]
                peak = max(peak, *held)
            except psutil.Error:
                pass
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - start, cpu, peak / 2**20)


def runs(folder: Path, slides: list[Path]) -> dict[str, float]:
    """One process against two; runs on few slides tell what beginning costs.

    To begin is to start processes, import torch and load the model, once per worker.
    """
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    found: dict[str, float] = {}
    for workers in (1, 2):
        out, where = folder / f"out{workers}", ("--scheduler", f"local:{workers}")
        few = spent(killing.command(recipe, slides[:FEW], folder / f"few{workers}", *where))
        work, more = spent(killing.command(recipe, slides, out, *where)), len(slides) - FEW
        found[f"wall{workers}"] = (work.wall - few.wall) / more
        found[f"cpu{workers}"] = (work.cpu - few.cpu) / more
        found[f"begin{workers}"] = few.cpu - FEW * found[f"cpu{workers}"]
        found[f"peak{workers}"] = work.peak
    assert killing.digests(folder / "out1") == killing.digests(folder / "out2")
    # the page and the facts hold pictures, which are as large for a small slide as for a large one
    files = [p for p in (folder / "out1").glob("*/count/*") if p.is_file()]
    pages = [p for p in files if p.name in ("report.html", "count.json")]
    found["page_bytes"] = sum(p.stat().st_size for p in pages) / len(slides)
    every = sum(p.stat().st_size for p in files) / len(slides)
    found["result_bytes"] = every - found["page_bytes"]
    return found


def overhead(folder: Path, slide: Path) -> float:
    """CPU seconds of the scheduler's process for a slide, by slides that are finished already."""
    from histoprompt.core.task import Task
    from histoprompt.pipelines.count.step import CountParams
    from histoprompt.pipelines.recipes.engines import Scheduler, _client, _through
    from histoprompt.pipelines.recipes.recipe import RecipeStep, made_recipe, write_recipe
    from histoprompt.pipelines.recipes.run import run_recipe
    from histoprompt.pipelines.recipes.unit import Unit

    params = CountParams(segmenter="classical-cells", region=(0, 0, 64, 64))
    made = made_recipe((RecipeStep("count", params),))
    unit = Unit("a", str(slide), str(folder / "a"), str(write_recipe(folder, made)))
    run_recipe(made, [unit], folder, Scheduler("here"), Task())
    with _client(Scheduler("local", 2)) as client:
        list(_through(client, [unit]))  # workers import what they need
        start = time.process_time()
        # one folder is one slide's at a time: they are given one after the other
        for _ in range(FINISHED):
            (result,) = _through(client, [unit])
            assert result.state == "done", result
        return (time.process_time() - start) / FINISHED


def watching() -> dict[str, float]:
    """Shares of a core that processes of a cluster take while their workers wait, in %.

    What Dask does to watch itself takes time of the clock, not of the work: on a busy machine it
    adds up to more seconds per slide than on an idle one.
    """
    import distributed

    from histoprompt.pipelines.recipes.engines import Scheduler, _client

    @contextmanager
    def plain() -> Iterator[distributed.Client]:
        with (
            distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client

    found = {}
    for name, made in (("plain", plain()), ("ours", _client(Scheduler("local", 2)))):
        with made as client:
            pids = client.run(os.getpid).values()
            others, own = [psutil.Process(pid) for pid in pids], psutil.Process()
            client.gather(client.map(time.sleep, [0.5, 0.51]))
            before, start = [_cpu(p) for p in (*others, own)], time.monotonic()
            client.gather(client.map(time.sleep, [WAIT, WAIT + 0.01]))
            wall = time.monotonic() - start
            after = [_cpu(p) for p in (*others, own)]
            spent = [100 * (b - a) / wall for a, b in zip(before, after, strict=True)]
            found[f"{name} worker"], found[f"{name} scheduler"] = max(spent[:-1]), spent[-1]
    return found


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def project(folder: Path) -> dict[str, float]:
    """CPU seconds to read a project, and to tell the state of each of its slides."""
    from histoprompt.pipelines.overview.status import states
    from histoprompt.pipelines.project.project import new_project, open_project
    from histoprompt.pipelines.project.table import ProjectSlide, SlideTable, write_slides

    new_project(folder)
    rows = [
        ProjectSlide(f"s{n}", f"{n}.svs", patient=f"p{n // 4}", key=f"{n:032x}")
        for n in range(ROWS)
    ]
    write_slides(folder / "slides.csv", SlideTable().with_slides(rows))
    start = time.process_time()
    assert len(open_project(folder)) == ROWS
    opened = time.process_time() - start
    start = time.process_time()
    assert sum(1 for _ in states(open_project(folder))) == ROWS
    return {"open": opened, "states": time.process_time() - start}


def network(folder: Path) -> dict[str, float]:
    """Bytes that a server sends for parts of an OME-Zarr, against those of the chunks in them."""
    import zarr

    from histoprompt.core.geometry import Box
    from histoprompt.core.readers.open import open_slide

    side, chunk = 2048, 256
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side), np.uint8)
    group = zarr.open_group(folder / "s.zarr", mode="w", zarr_format=3)
    array = group.create_array(
        "0", shape=pixels.shape, chunks=(3, chunk, chunk), dtype="u1", compressors=None
    )
    array[...] = pixels
    small = group.create_array(
        "1", shape=(3, side // 8, side // 8), chunks=(3, chunk, chunk), dtype="u1", compressors=None
    )
    small[...] = pixels[:, ::8, ::8]
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": n, "type": "space", "unit": "micrometer"} for n in "yx"
    ]
    levels = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [1, mpp, mpp]}]}
        for path, mpp in (("0", 0.5), ("1", 4.0))
    ]
    group.attrs["ome"] = {
        "version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}],
    }  # fmt: skip
    os.environ["NO_PROXY"] = "127.0.0.1"
    with http_server.running() as server:
        for file in (p for p in (folder / "s.zarr").rglob("*") if p.is_file()):
            name = file.relative_to(folder).as_posix()
            server.files[f"/{name}"] = http_server.File(file.read_bytes())
        with open_slide(f"{server.url}/s.zarr") as slide:
            opening, server.sent = server.sent, 0
            slide.read(Box(700, 700, 1212, 1212))
        chunks = len(range(700 // chunk, 1211 // chunk + 1)) ** 2
        return {"needed": chunks * 3 * chunk**2, "sent": server.sent, "opening": opening}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=6)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scale.md")
    args = parser.parse_args()
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HISTOPROMPT_HOME"] = str(folder / "home")
        slides = killing.make_slides(folder / "slides", args.slides, (args.side, args.side))
        ran = runs(folder, slides) | watching()
        extra = overhead(folder / "overhead", slides[0])
        large, sent = project(folder / "project"), network(folder)
    args.out.write_text(page(args, load, ran, extra, large=large, sent=sent), encoding="utf-8")
    sys.stdout.write(args.out.read_text(encoding="utf-8"))


def walls(ran: dict[str, float], *, busy: bool) -> list[tuple[str, str, str]]:
    """The rows of wall time; on a busy machine it tells of the other programs."""
    told = ["not measured: busy"] * 3
    if not busy:
        one, two = (3600 / ran[f"wall{n}"] for n in (1, 2))
        told = [f"{one:.0f}", f"{two:.0f}", f"{two / one:.2f}"]
    names = ("slides per hour, one process", "slides per hour, two processes",
             "two processes against one, wall time")  # fmt: skip
    return list(zip(names, told, ("", "", AIM), strict=True))


def waits(ran: dict[str, float]) -> list[tuple[str, str, str]]:
    """The rows of what processes take while they wait."""
    names = {
        "plain worker": "of a core, a waiting worker of Dask as it comes",
        "ours worker": "of a core, a waiting worker of a run",
        "plain scheduler": "of a core, the scheduler of Dask as it comes meanwhile",
        "ours scheduler": "of a core, the scheduler of a run meanwhile",
    }
    return [(f"% {name}", f"{ran[key]:.2f}", "") for key, name in names.items()]


def page(
    args: argparse.Namespace,
    load: str,
    ran: dict[str, float],
    extra: float,
    *,
    large: dict[str, float],
    sent: dict[str, float],
) -> str:
    """The results as a page; `scale_costs.py` reads its table."""
    mm2 = (args.side * 0.5e-3) ** 2
    rows = [
        *walls(ran, busy=float(load.split(",", maxsplit=1)[0]) >= IDLE),
        ("CPU seconds per slide, one process", f"{ran['cpu1']:.2f}", ""),
        ("CPU seconds per slide, two processes", f"{ran['cpu2']:.2f}", ""),
        (
            "two processes against one, by CPU seconds, each with a core of its own",
            f"{2 * ran['cpu1'] / ran['cpu2']:.2f}", AIM,
        ),
        ("CPU seconds to begin a run, one process", f"{ran['begin1']:.1f}", ""),
        ("CPU seconds to begin a run, two processes", f"{ran['begin2']:.1f}", ""),
        ("CPU seconds of the scheduler per slide", f"{extra:.4f}", ""),
        (
            "the same, of a count of 1 mm²", f"{extra / (ran['cpu1'] / mm2):.4%}", "under 1%",
        ),
        *waits(ran),
        ("MiB of the largest worker", f"{ran['peak2']:.0f}", ""),
        ("mm² of each slide", f"{mm2:.4f}", ""),
        ("bytes of labels, tables and outlines per mm²", f"{ran['result_bytes'] / mm2:.0f}", ""),
        ("bytes of the page and its pictures per slide", f"{ran['page_bytes']:.0f}", ""),
        (f"CPU seconds to open a project of {ROWS:,} slides", f"{large['open']:.2f}", "under 1"),
        (f"CPU seconds to tell the states of {ROWS:,} slides", f"{large['states']:.2f}", ""),
        (
            "bytes sent against bytes needed, a region of a remote OME-Zarr",
            f"{sent['sent'] / sent['needed']:.2f}", "under 1.3",
        ),
        ("bytes sent to open it", f"{sent['opening']:.0f}", ""),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} | {aim} |" for name, value, aim in rows)
    return f"""# Many slides

`python benchmarks/bench_scale.py --slides {args.slides} --side {args.side}`: Linux, \
{os.cpu_count()} CPU cores, load average {load} before it began; other programs ran too. Slides \
are parts of the sample slide of {args.side} x {args.side} pixels at 0.5 µm, counted with \
`histoprompt-cells`, a thread per process. The files of one process and two were the same bytes. \
Figures per slide are those of {args.slides} slides less those of {FEW}, so that what beginning \
a run costs (processes, torch, the model) is not in them. Wall time is told only where the load \
average is below 1 before it begins.

| what | measured | aim |
| --- | ---: | --- |
{table}
"""


if __name__ == "__main__":
    main()
