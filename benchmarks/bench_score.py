"""Words to regions: how fast tiles are seen, how fast words are answered, how good regions are.

    python benchmarks/bench_score.py --tiles DIR --out benchmarks/results

DIR holds the osteosarcoma tiles (TCIA, 10.7937/tcia.2019.bvhjhdas). Networks have random weights of
the published size: they do for time and for nothing else. The accuracy of a trained model is
measured with `histoprompt bench text --model plip --tiles DIR` where its weights are.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

import score_quality as quality
from histoprompt.core.geometry import Box
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.networks.tile_input import Recipe, features_of
from histoprompt.pipelines.embedding.embedding_store import CHUNK, TileVectors
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import TilePlan, plan_tiles
from histoprompt.pipelines.embedding.tiles import embed_tiles
from histoprompt.pipelines.embedding.words import TextCache
from histoprompt.pipelines.regions.cell_texts import CellTexts, score_cells
from histoprompt.pipelines.text.score import SeenTiles, ask
from histoprompt.pipelines.text.text_embedding import ScoreParams

WIDTH, BATCH = 512, 32
MEAN, STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)
SIZES = {"tiny (2 layers of 192)": (192, 2, 3, 32), "ViT-B/32": (768, 12, 12, 32)}


class RandomClip:
    """A `TokenScorer` with a tower of open_clip and random weights; texts are random vectors."""

    logit_scale = 100.0

    def __init__(self, size: str) -> None:
        import torch
        from open_clip.transformer import VisionTransformer

        width, layers, heads, patch = SIZES[size]
        torch.manual_seed(0)
        self.tower = VisionTransformer(
            224, patch, width, layers, heads, 4.0, output_dim=WIDTH
        ).eval()

    def embed_images(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return unit(self._run(tiles, self.tower))

    def embed_tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        from histoprompt.models.networks.patch_tokens import patch_tokens

        return self._run(tiles, lambda images: patch_tokens(self.tower, images))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rng = np.random.default_rng(abs(hash(tuple(texts))))
        return unit(rng.normal(size=(len(texts), WIDTH)).astype(np.float32))

    def _run(self, tiles: NDArray[np.uint8], net: Any) -> NDArray[np.float32]:
        return features_of(net, tiles, Recipe(224, MEAN, STD), "cpu")


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain_loop(tower: Any, slide: Any, plan: TilePlan) -> None:
    """What one writes with open_clip: read, its own transform, batch, encode."""
    import torch
    from open_clip.transform import image_transform
    from PIL import Image

    transform = image_transform(224, is_train=False, mean=MEAN, std=STD)
    places = [tuple(p) for p in plan.places.tolist()]
    with torch.inference_mode():
        for start in range(0, len(places), BATCH):
            images = []
            for place in places[start : start + BATCH]:
                box = plan.window(place).shift_inside(slide.box)
                images.append(transform(Image.fromarray(slide.read(box, (224, 224))[0])))
            tower(torch.stack(images))


def speed(rounds: int) -> list[list[str]]:
    """Tiles a second, ours and the plain loop in turn on the same tiles."""
    slide, lines = open_slide(sample_file(SLIDE)), []
    for name in SIZES:
        model = RandomClip(name)
        card = ModelCard("random", "text", name, "", input_size=224, mpp=0.5, memory_mib=700)
        plan = plan_tiles(slide, card, overlap=2)
        times: dict[str, list[tuple[float, float]]] = {"plain": [], "ours": []}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                manager = ModelManager("cpu", 2000.0, load=lambda *_, m=model: m)
                job = ScoreJob(manager, card, stores=Path(folder), batch=BATCH)
                times["plain"].append(timed(lambda m=model, p=plan: plain_loop(m.tower, slide, p)))
                times["ours"].append(timed(lambda j=job, p=plan: embed_tiles(slide, p, j, Task())))
        wall = {k: len(plan) / min(t for t, _ in v) for k, v in times.items()}
        cpu = {k: len(plan) / min(c for _, c in v) for k, v in times.items()}
        lines.append(
            [
                name,
                str(len(plan)),
                *(f"{v:.1f}" for v in (wall["plain"], wall["ours"])),
                *(f"{v['ours'] / v['plain']:.2f}" for v in (wall, cpu)),
            ]
        )
    return lines


def latency(counts: Sequence[int]) -> list[list[str]]:
    """Milliseconds from a text to its map, tower of texts apart; wall and CPU."""
    lines = []
    for count in counts:
        rng = np.random.default_rng(0)
        source = rng.standard_normal((count, WIDTH), np.float32)
        source /= np.linalg.norm(source, axis=1, keepdims=True)
        memory = TileVectors(source, np.arange(count))
        lines.append(_asked(count, "memory, float32", memory, source.nbytes))
        with tempfile.TemporaryDirectory() as folder:
            stored = zarr.create_array(
                f"{folder}/v.zarr",
                shape=source.shape,
                chunks=(CHUNK, WIDTH),
                dtype="float16",
                compressors=None,
            )
            for start in range(0, count, 64 * CHUNK):
                stored[start : start + 64 * CHUNK] = source[start : start + 64 * CHUNK]
            del source, memory
            disk = TileVectors(stored, np.arange(count))
            lines.append(_asked(count, "disk, float16", disk, count * WIDTH * 2))
    return lines


def _asked(count: int, where: str, vectors: TileVectors, n_bytes: int) -> list[str]:
    columns = 1000
    rows = -(-count // columns)
    bounds = Box(0, 0, rows, columns)
    places = np.stack(np.divmod(np.arange(count), columns), axis=1).astype(np.int32)
    plan = TilePlan(TileGrid(bounds, 1, 0, bounds), 1, 224, places)
    seen = SeenTiles("key", 0.5, plan, (vectors,))
    model = RandomClip.__new__(RandomClip)
    card = ModelCard("random", "text", "random", "", memory_mib=1)
    job = ScoreJob(ModelManager("cpu", 2000.0, load=lambda *_: model), card)
    found = []
    for i in range(1 + (7 if count < 10**6 or where.startswith("memory") else 2)):
        params, cache = ScoreParams((f"word {i}",), templates="plain"), TextCache()
        found.append(timed(lambda p=params, c=cache: ask(seen, p, job, Task(), c)))
    first = [f"{1000 * value:.0f}" for value in found[0]]
    later = [f"{1000 * np.median([f[i] for f in found[1:]]):.0f}" for i in (0, 1)]
    kept = seen._cosines.n_bytes / 1e6
    return [f"{count:,}", where, *first, *later, f"{n_bytes / 1e6:.0f}", f"{kept:.0f}"]


def cells(count: int) -> list[list[str]]:
    """Cells a second by crops and by tokens, of the sample slide's own nuclei."""
    from skimage.measure import regionprops_table

    from histoprompt.core.cell_table import CellTable
    from histoprompt.core.labels.tiff import read_labels
    from histoprompt.core.slides.sample import LABELS

    slide = open_slide(sample_file(SLIDE))
    labels = read_labels(sample_file(LABELS), origin=(0, 0)).read(slide.box).astype(np.int32)
    found = regionprops_table(labels, properties=("label", "centroid", "area"))
    at = found["centroid-0"], found["centroid-1"]
    nuclei = CellTable(found["label"].astype(np.int64), *at, found["area"] / 16)[:count]
    model = RandomClip("ViT-B/32")
    card = ModelCard("random", "text", "ViT-B/32", "", input_size=224, memory_mib=700)
    job = ScoreJob(ModelManager("cpu", 2000.0, load=lambda *_: model), card, batch=BATCH)
    lines = []
    for way in ("crop", "tokens"):
        texts = CellTexts(("a", "b"), "plain", way=way)
        wall, cpu = timed(lambda t=texts: score_cells(slide, nuclei, t, job, Task()))
        lines.append([way, str(count), f"{len(nuclei) / wall:.1f}", f"{len(nuclei) / cpu:.1f}"])
    return lines


def timed(what: Any) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - wall, time.process_time() - cpu


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    numbers = "|".join(["---"] + ["---:"] * (len(head) - 1))
    text = f"| {' | '.join(head)} |\n|{numbers}|\n"
    return text + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine() -> str:
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    return f"{platform.system()}, {os.cpu_count()} CPU cores, load average {load}, no GPU"


def speed_text(args: argparse.Namespace) -> str:
    names = ["open_clip loop, tiles/s", "histoprompt, tiles/s", "ratio", "ratio by CPU time"]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    note = (
        f"Sample slide, batches of {BATCH}, torch threads: {threads}, best of {args.rounds} rounds "
        "in turn, random weights."
    )
    return f"{note}\n\n{table(['network', 'tiles', *names], speed(args.rounds))}"


def latency_text(args: argparse.Namespace) -> str:
    note = (
        f"From a text's vector to its map, {WIDTH} numbers a tile, one text with its contrasts. "
        "The first text of a slide is held against all tiles together with its contrasts (12 "
        "vectors), further ones alone, as cosines are kept (median of 7, on disk of 2). The text "
        "tower's own time comes on top where a word is new."
    )
    times = ["first text, ms", "CPU ms", "further text, ms", "CPU ms"]
    head = ["tiles", "vectors in", *times, "vectors, MB", "cosines kept, MB"]
    return f"{note}\n\n{table(head, latency(args.counts))}"


def cells_text(args: argparse.Namespace) -> str:
    head = ["cells seen as", "cells", "cells/s", "cells a CPU s"]
    return f"ViT-B/32, nuclei of the sample slide.\n\n{table(head, cells(args.cells))}"


FIGURES = ["AUROC", "balanced acc.", "Dice"]
HEAD = ["text", "clicks", *FIGURES, *(f"colours: {name}" for name in FIGURES)]


def tiles_text(args: argparse.Namespace) -> str:
    real = quality.osteosarcoma(args.tiles, args.step)
    lines = [row for name, text in quality.TEXTS.items() for row in quality.rows(real, name, text)]
    notes = "; ".join(f"{t}: {quality.baseline(real, n)}" for n, t in quality.TEXTS.items())
    note = (
        f"Osteosarcoma tiles of 64 um, word list `vocabulary`: {real.test.sum():,} tiles of "
        f"{quality.HELD_OUT} judged, marks on {(~real.test).sum():,} tiles of "
        f"{', '.join(quality.SEEN)}, half yes and half no, mean of {quality.SEEDS} draws. A tile "
        f"has the class of its whole image. {notes}. Cases differ: on the others the words alone "
        f"have an AUROC of {quality.elsewhere(real)}. Colours: logistic regression on a 64-bin "
        "colour histogram of the marked tiles alone."
    )
    return f"{note}\n\n{table(HEAD, lines)}"


def sample_text(args: argparse.Namespace) -> str:
    made, names = quality.sample(), ("tumour", "stroma", "fat", "gland")
    lines = [row for name in names for row in quality.rows(made, name, name)]
    notes = "; ".join(f"{name}: {quality.baseline(made, name)}" for name in names)
    note = (
        f"The sample slide (a drawing), {len(made.truth):,} tiles of 64 um, marks on the same "
        f"slide, marked tiles not judged. {notes}."
    )
    return f"{note}\n\n{table(HEAD, lines)}"


PARTS = {
    "score-speed": speed_text,
    "score-latency": latency_text,
    "score-cells": cells_text,
    "score-tiles": tiles_text,
    "score-sample": sample_text,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder, one file a part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", type=int, default=1, help="every so manyth tile of an image")
    parser.add_argument("--cells", type=int, default=256)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    for name in args.parts:
        text = f"`python benchmarks/bench_score.py`: {machine()}. {PARTS[name](args)}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: peak memory of the run so far {peak:.0f} MiB")
        (args.out / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
