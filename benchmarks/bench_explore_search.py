"""Search by example: how fast, and how often right.

    python benchmarks/bench_explore_search.py --tiles DIR --slide SLIDE --out benchmarks/results

DIR holds the osteosarcoma tiles (TCIA, 10.7937/tcia.2019.bvhjhdas); SLIDE is any slide. Hits of the
example's own case are left out. Wall time of exact search is told with the processor time, which a
busy machine changes less.
"""

from __future__ import annotations

import argparse
import platform
import re
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.embedding.tiles import read_square
from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.exact import Bank, best
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.explore.like import LikeParams, LikeQuery, search, stacked
from histoprompt.pipelines.explore.project_index import ProjectIndex

CLASSES = ("Non-Tumor", "Non-Viable-Tumor", "Viable")
WIDTH = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=Path)
    parser.add_argument("--slide")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--encoder", default=registry.DEFAULT_TILES)
    parser.add_argument("--seen-at", type=float, default=1.0)
    parser.add_argument("--pictures", type=int, default=20, help="of each class")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    text = ["# Search by example", "", f"{platform.processor() or platform.machine()}.", ""]
    text += latency(args.rows)
    print("\n".join(text), flush=True)
    if args.slide:
        text += throughput(args.slide, args.mpp, args.encoder)
    if args.tiles:
        text += quality(args.tiles, args.encoder, args.seen_at, args.pictures)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "explore-search.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


def made_index(rows: int) -> SlideIndex:
    """An index of random float16 vectors."""
    rng = np.random.default_rng(0)
    vectors = np.empty((rows, WIDTH), np.float16)
    for start in range(0, rows, 65_536):
        part = vectors[start : start + 65_536]
        part[:] = rng.standard_normal(part.shape, np.float32)
    places = np.stack(np.divmod(np.arange(rows), 2000), 1).astype(np.int32)
    low = places.astype(np.int64) * 224
    return SlideIndex(
        slide="made", name="made", path="", mpp=0.5, shape=(224 * 1000, 224 * 2000),
        encoder="made", digest="", words=False, boxes=np.concatenate([low, low + 224], 1),
        vectors=TileVectors(vectors, np.arange(rows)), flags={}, side=224, pixels=224, step=224,
        places=places, grid=(1000, 2000), ids=np.zeros(0, np.int64),
    )  # fmt: skip


def latency(sizes: list[int]) -> list[str]:
    """Exact search among random vectors, warm: the product, the best 50, and all of `search`."""
    lines = [
        f"Exact search among random vectors of {WIDTH} numbers, compared in main directions, warm; "
        "median of 9, ms.",
        "",
        "| vectors | product and best 50 | processor time | whole search, diverse | memory, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rows in sizes:
        bank = Bank(ProjectIndex((made_index(rows),)))
        query = bank.take(np.array([7]))[0]
        nothing = np.zeros((0, bank.width), np.float32)
        question = LikeQuery(query[None], nothing, nothing, np.zeros(1, np.int32))
        wall, busy = timed(lambda b=bank, q=query: best(b.scores(q), 50))
        whole, _ = timed(lambda b=bank, q=question: search(b, q, LikeParams()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines.append(f"| {rows:,} | {wall:.0f} | {busy:.0f} | {whole:.0f} | {peak:.0f} |")
    return [*lines, ""]


def timed(call: object) -> tuple[float, float]:
    """Median wall and processor time, ms."""
    call()
    wall, busy = [], []
    for _ in range(9):
        a, b = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - a)
        busy.append(time.process_time() - b)
    return 1000 * float(np.median(wall)), 1000 * float(np.median(busy))


def throughput(path: str, mpp: float | None, encoder: str) -> list[str]:
    """Tiles a second of processor time: indexing against reading and encoding in a plain loop."""
    manager, params = ModelManager(device="cpu"), IndexParams(encoder, overlap=2)
    with open_slide(path, mpp) as slide:
        index = build_index(slide, params, manager, Task(), stores=Path(tempfile.mkdtemp()))
        ratios, rates = [], []
        for _ in range(2):
            start = time.process_time()
            with manager.lease(registry.card(encoder), Task()) as model:
                for at in range(0, len(index), 32):
                    part = index.boxes[at : at + 32]
                    tiles = [read_square(slide, Box(*map(int, b)), index.pixels) for b in part]
                    model.encode(np.stack(tiles))
            plain = time.process_time() - start
            start = time.process_time()
            build_index(slide, params, manager, Task(), stores=Path(tempfile.mkdtemp()))
            ours = time.process_time() - start
            ratios.append(plain / ours)
            rates.append(len(index) / ours)
    return [
        f"{len(index)} tiles of {Path(path).name} with {encoder}: {np.median(rates):.1f} tiles per "
        f"second of processor time, finding the tissue included; {np.median(ratios):.2f} of what "
        "a plain loop of reading and encoding gives.",
        "",
    ]


def quality(folder: Path, encoder: str, seen_at: float, pictures: int) -> list[str]:
    """Precision of the first ten hits of other cases, by number of examples."""
    manager, params = ModelManager(device="cpu"), IndexParams(encoder, mpp=seen_at)
    stores = Path(tempfile.mkdtemp())
    parts, truth, case = [], [], []
    for label, name in enumerate(CLASSES):
        for path in of_all_cases(sorted(folder.glob(f"{name}___*.jpg")))[:pictures]:
            try:
                with open_slide(path, 1.0) as slide:
                    parts.append(build_index(slide, params, manager, Task(), stores=stores))
            except RegionError:  # no tissue was found on it
                continue
            truth += [label] * len(parts[-1])
            case += [case_of(path)] * len(parts[-1])
    bank = Bank(ProjectIndex(tuple(replace(p, name=str(k)) for k, p in enumerate(parts))))
    label, cases = np.array(truth), np.array(case)
    chance = np.mean([share_elsewhere(label, cases, k) for k in range(3)])
    lines = [
        f"Osteosarcoma, {len(parts)} pictures, {len(bank)} tiles seen at {seen_at:g} µm/px with "
        f"{encoder}: precision of the first 10 hits of other cases, mean over three tissues; "
        f"chance {chance:.2f}, the share of the tissue among tiles of other cases than the "
        "example's. Pictures are taken of all cases in turn.",
        "",
        "| examples | nearest | diverse (0.1) | diverse (0.3) |",
        "| --- | --- | --- | --- |",
    ]
    for count in (1, 3, 5):
        row = [precision(bank, label, cases, count, LikeParams(diversity=d)) for d in (0, 0.1, 0.3)]
        lines.append(f"| {count} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return [*lines, ""]


def case_of(path: Path) -> str:
    """The case of a picture, by its name."""
    found = re.match(r"(Case-\d+|P\d+)", path.name.split("___")[1])
    return found[1] if found else path.name


def of_all_cases(paths: list[Path]) -> list[Path]:
    """Pictures of all cases in turn: the first by name may all be of one."""
    seen: dict[str, int] = {}
    turn = []
    for path in paths:
        seen[case_of(path)] = seen.get(case_of(path), -1) + 1
        turn.append(seen[case_of(path)])
    return [paths[k] for k in sorted(range(len(paths)), key=lambda k: (turn[k], k))]


def share_elsewhere(label: np.ndarray, cases: np.ndarray, tissue: int) -> float:
    """Share of a tissue among the tiles of other cases, mean over its tiles."""
    mine = label == tissue
    shares = [mine[cases != cases[row]].mean() for row in np.flatnonzero(mine)]
    return float(np.mean(shares))


def precision(
    bank: Bank, label: np.ndarray, cases: np.ndarray, count: int, params: LikeParams
) -> float:
    """Mean over 60 questions a tissue; the examples of one are of one case."""
    rng, means = np.random.default_rng(count), []
    width = bank.width
    for tissue in range(3):
        found = []
        for _ in range(60):
            first = rng.choice(np.flatnonzero(label == tissue))
            near = np.flatnonzero((label == tissue) & (cases == cases[first]))
            rows = rng.choice(near, min(count, len(near)), replace=False)
            like = bank.take(rows)
            none = stacked([], width)
            question = LikeQuery(like, none, none, np.zeros(0, np.int32))
            answers = search(bank, question, replace(params, top=len(bank)))
            kept = [r for r in answers.rows if cases[r] not in cases[rows]][:10]
            found.append(float((label[kept] == tissue).mean()) if kept else 0.0)
        means.append(float(np.mean(found)))
    return float(np.mean(means))


if __name__ == "__main__":
    main()
