"""How much memory the index, search, anomaly and scenes take as tiles grow in number.

    python benchmarks/bench_explore_memory.py [--rows 10000 100000 1000000]

Made vectors of 512 numbers in a real store, a slide's index over them; each job in a process of its
own. What is told is the peak less that of a process that has only imported the program, and CPU
seconds. Writes benchmarks/results/explore-memory.md.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.embedding_store import EmbeddingStore, StoreKey, open_vectors
from histoprompt.pipelines.explore.anomaly.find import find_unlike
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.building import HELD
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.index import TISSUE, SlideIndex
from histoprompt.pipelines.explore.like import LikeParams, LikeQuery, search
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.scenes.find import ClusterParams, find_scenes

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "explore-memory.md"
WIDTH, ACROSS, KINDS, SIDE = 512, 1000, 6, 224
AT_ONCE = 16_384
# Tiles of the reference, and jobs in the order of the table.
REFERENCE = 1000
JOBS = ("index", "search", "anomaly", "scenes")


def key() -> StoreKey:
    return StoreKey("made", "made", "sha256:0", SIDE, SIDE, SIDE)


def places(rows: int) -> np.ndarray:
    return np.stack(np.divmod(np.arange(rows), ACROSS), axis=1).astype(np.int32)


def shape(rows: int) -> tuple[int, int]:
    return -(-rows // ACROSS), ACROSS


def fill(root: Path, rows: int) -> None:
    """Vectors of six kinds of tissue in bands, as an index writes them."""
    rng, at = np.random.default_rng(0), places(rows)
    middles = 2 * rng.standard_normal((KINDS, WIDTH), np.float32)
    with EmbeddingStore(root, key(), shape(rows)) as store:
        for start in range(0, rows, AT_ONCE):
            part = at[start : start + AT_ONCE]
            kind = (part[:, 1] * KINDS) // ACROSS
            noise = rng.standard_normal((len(part), WIDTH), np.float32)
            store.append(part, middles[kind] + noise)


def opened(root: Path, rows: int) -> SlideIndex:
    at = places(rows)
    vectors = open_vectors(key().folder(root), at, shape(rows), HELD)
    assert vectors is not None
    low = at.astype(np.int64) * SIDE
    flags = {name: np.ones(rows, np.float32) for name in (TISSUE,)}
    return SlideIndex(
        slide="made", name="made", path="", mpp=0.5,
        shape=(shape(rows)[0] * SIDE, ACROSS * SIDE), encoder="made", digest="sha256:0",
        words=False, boxes=np.concatenate([low, low + SIDE], axis=1), vectors=vectors, flags=flags,
        side=SIDE, pixels=SIDE, step=SIDE, places=at, grid=shape(rows), ids=np.zeros(0, np.int64),
    )  # fmt: skip


def do(job: str, root: Path, rows: int) -> None:
    """One job."""
    if job == "index":
        fill(root, rows)
        return
    if job not in JOBS:
        return
    index = opened(root, rows)
    if job == "search":
        bank = Bank(ProjectIndex((index,)))
        query = bank.take(np.array([7]))
        nothing = np.zeros((0, bank.width), np.float32)
        search(bank, LikeQuery(query, nothing, nothing, np.zeros(1, np.int32)), LikeParams())
    elif job == "anomaly":
        tiles = tiles_of([index])
        inside = np.zeros(rows, bool)
        inside[:: max(1, rows // REFERENCE)] = True
        find_unlike(tiles, inside, UnlikeParams(rate=0.01), Task())
    elif job == "scenes":
        find_scenes(tiles_of([index]), ClusterParams(scenes=KINDS), Task())


def measured(job: str, root: Path, rows: int) -> tuple[float, float]:
    """Peak MiB and CPU seconds of a job in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, __file__, "--one", job, str(root), str(rows)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(told.split()[-1]), cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--one", nargs=3, metavar=("JOB", "STORE", "ROWS"))
    args = parser.parse_args()
    if args.one:
        job, root, rows = args.one
        do(job, Path(root), int(rows))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(f"{peak:.0f}\n")
        return
    lines = []
    with tempfile.TemporaryDirectory() as name:
        base, _ = measured("nothing", Path(name), 1)
        for rows in args.rows:
            root = Path(name) / str(rows)
            row = [f"{rows:,}", f"{rows * WIDTH * 4 / 2**20:.0f}"]
            for job in JOBS:
                if job not in args.jobs:
                    row.append("")
                    continue
                peak, cpu = measured(job, root, rows)
                row.append(f"{max(peak - base, 0):.0f} ({cpu:.0f} s)")
                sys.stdout.write(f"{rows} {job} {row[-1]}\n")
                sys.stdout.flush()
            lines.append(f"| {' | '.join(row)} |")
    text = (
        "# Explore: memory\n\n"
        f"`python benchmarks/bench_explore_memory.py`: made vectors of {WIDTH} numbers in a real "
        f"store, six kinds of tissue; a reference of {REFERENCE:,} tiles. Peak MiB above that of a "
        f"process that has only imported the program ({base:.0f} MiB), and CPU seconds. Vectors: "
        "what they would take as float32, all at once.\n\n"
        "| tiles | vectors, MiB | index | search | anomaly | scenes |\n"
        "|---:|---:|---:|---:|---:|---:|\n" + "\n".join(lines) + "\n"
    )
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
