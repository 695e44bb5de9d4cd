"""Box IoU of a box model by field of view, against an ellipse and the classical segmenter.

Each nucleus of the stained tiles of the 2018 Data Science Bowl gets its true box, each side moved
by up to 2 pixels. The same box goes to the model, in fields of several sides planned as in real
use, to the classical segmenter, and to the ellipse inscribed in it, which any model must beat.

    python benchmarks/bench_boxes.py [--data ../shared/data] [--tiles 4] [--nuclei 10]
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.io import imread

from histoprompt.core.geometry import Box, Frame
from histoprompt.core.metrics import iou
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard
from histoprompt.models.registry import card, load_model
from histoprompt.models.roles import PromptSegmenter
from histoprompt.models.weights import resolve
from histoprompt.pipelines.prompts.fields import plan_fields

SIDES = (256, 192, 128, 96, 64)
REACHES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
STARTS = (64, 96, 128, 256)
BINS = ((0, 16), (16, 24), (24, 32), (32, 48), (48, 1000))
GROUPS = ("purple", "white", "pink")
JITTER = 2
LEAST_AREA = 30
# Slivers cut by the tile's edge: a moved side must not pass its opposite.
LEAST_SIDE = 2 * JITTER + 2


@dataclass
class Nucleus:
    """One object: its box, and the IoU of every way to outline it."""

    group: str
    box: Box
    truth: NDArray[np.bool_]
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def extent(self) -> float:
        return max(self.box.height, self.box.width)


@dataclass(frozen=True)
class Cost:
    """What a way to outline took in all."""

    embeddings: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.embeddings + other.embeddings, self.seconds + other.seconds)


def main() -> None:
    args = _arguments()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    import torch

    torch.set_num_threads(1)
    model_card = card(args.model)
    model = load_model(model_card, resolve(model_card), args.device)
    classical = load_model(card("classical"), None, "cpu")
    rng = np.random.default_rng(args.seed)
    nuclei: list[Nucleus] = []
    costs: dict[str, Cost] = defaultdict(Cost)
    for group, image, labels in _tiles(args.data, args.tiles, rng):
        found = list(_nuclei(group, labels, args.nuclei, rng))
        for nucleus in found:
            nucleus.scores["ellipse"] = iou(_ellipse(nucleus.box, labels.shape), nucleus.truth)
        slide = Slide("tile", "tile", (image,))
        whole = [(Frame(slide.box, slide.shape), range(len(found)))]
        costs["classical"] += _score("classical", classical, slide, found, whole)
        costs["tile"] += _score("tile", model, slide, found, whole)
        for side in SIDES:
            plans = _plans(slide, model_card, found, side)
            costs[str(side)] += _score(str(side), model, slide, found, plans)
        nuclei += found
        report = _report(model_card, nuclei, costs, args.seed)
        print(f"{len(nuclei)} nuclei, {costs['tile'].embeddings} tiles", flush=True)
        args.out.write_text(report, encoding="utf-8")
    print(report)


def _arguments() -> argparse.Namespace:
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--model", default="litemedsam")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tiles", type=int, default=4, help="tiles of each background group")
    parser.add_argument("--nuclei", type=int, default=10, help="nuclei of each tile, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=root / "benchmarks" / "results" / "boxes.md")
    return parser.parse_args()


def _tiles(
    data: Path, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.int32]]]:
    folder = data / "nuclei" / "dsb2018"
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "stained"]
    names = {g: sorted(row["name"] for row in rows if row["background"] == g) for g in GROUPS}
    shuffled = {g: [n[i] for i in rng.permutation(len(n))[:count]] for g, n in names.items()}
    for index in range(count):  # group by group in turn, so that a stopped run is balanced
        for group in GROUPS:
            if index < len(shuffled[group]):
                name = shuffled[group][index]
                image = imread(next((folder / "stained" / "images").glob(f"{name}*")))
                labels = imread(next((folder / "stained" / "labels").glob(f"{name}*")))
                yield group, np.ascontiguousarray(image[..., :3]), labels


def _nuclei(
    group: str, labels: NDArray[np.int32], count: int, rng: np.random.Generator
) -> Iterator[Nucleus]:
    bounds = Box.of_shape(labels.shape)
    areas = np.bincount(labels.ravel())
    exact = {v: Box.of_mask(labels == v) for v in range(1, len(areas)) if areas[v] >= LEAST_AREA}
    values = [v for v, box in exact.items() if min(box.shape) >= LEAST_SIDE]
    for value in rng.permutation(values)[:count]:
        truth = labels == value
        sides = np.array(list(exact[value])) + rng.integers(-JITTER, JITTER + 1, 4)
        box = Box(*(float(s) for s in sides)).intersection(bounds)
        yield Nucleus(group, box, truth)


def _plans(
    slide: Slide, model_card: ModelCard, nuclei: Sequence[Nucleus], side: int
) -> list[tuple[Frame, Sequence[int]]]:
    """Fields of this side, for the nuclei that fit into them."""
    fitting = [i for i, n in enumerate(nuclei) if n.extent <= 0.9 * side]
    fixed = replace(model_card, crop_px=side, max_fill=1.0, mpp=None)
    plans = plan_fields(slide, fixed, [nuclei[i].box for i in fitting])
    return [(plan.frame, [fitting[m] for m in plan.members]) for plan in plans]


def _score(
    name: str,
    model: PromptSegmenter,
    slide: Slide,
    nuclei: Sequence[Nucleus],
    plans: Sequence[tuple[Frame, Sequence[int]]],
) -> Cost:
    """Outline nuclei in the fields given and note the IoU of each under `name`."""
    started = time.process_time()
    for frame, members in plans:
        image, _ = slide.read(frame.box, frame.shape)
        prompts = [Prompt.of_box(nuclei[i].box).into(frame) for i in members]
        found = model.segment(model.embed(image), prompts)
        for i, masks in zip(members, found, strict=True):
            nuclei[i].scores[name] = iou(_on_tile(masks[0], frame, slide.box), nuclei[i].truth)
    return Cost(len(plans), time.process_time() - started)


def _on_tile(mask: Mask, frame: Frame, bounds: Box) -> NDArray[np.bool_]:
    placed = Mask(mask.array, Frame(frame.box_to_slide(mask.frame.box), mask.frame.shape))
    cut = placed.at_level0(bounds)
    whole = np.zeros(bounds.shape, bool)
    whole[cut.frame.box.slices()] = cut.array
    return whole


def _ellipse(box: Box, shape: Sequence[int]) -> NDArray[np.bool_]:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    r, c = box.centre
    return np.hypot((rows - r) / (box.height / 2), (cols - c) / (box.width / 2)) <= 1


def _ladder(nucleus: Nucleus, start: int, reach: float) -> float:
    """IoU in the smallest of `start`, twice `start` ... that the nucleus takes its share of."""
    side = start
    while nucleus.extent > reach * side and side * 2 <= max(SIDES):
        side *= 2
    return nucleus.scores.get(str(side), nucleus.scores["tile"])


def _report(model_card: ModelCard, nuclei: list[Nucleus], costs: dict[str, Cost], seed: int) -> str:
    ways = ["ellipse", "classical", "tile", *(str(s) for s in SIDES)]
    heads = [f"field {w}" if w.isdigit() else f"whole {w}" if w == "tile" else w for w in ways]
    parts = [
        f"# Box IoU of {model_card.title}",
        f"{len(nuclei)} nuclei of {costs['tile'].embeddings} tiles (stained, DSB 2018), true box "
        f"with every side moved by up to {JITTER} px, seed {seed}; no nucleus "
        f"under {LEAST_AREA} px of area or {LEAST_SIDE} px of side. Mean / median IoU. "
        f"A field is a square of so many level-0 pixels handed to the network, which resizes it "
        f"to {model_card.input_size}; nuclei too large for a field are left out of its column.",
        "## By background",
        _table(["group", "n", *heads], _rows(nuclei, ways, [(g, _of_group(g)) for g in GROUPS])),
        "## By size of the nucleus (longest side of its box, px)",
        _table(["px", "n", *heads], _rows(nuclei, ways, [(_name(b), _of_size(b)) for b in BINS])),
        "## Fields that grow with the object",
        "Mean IoU when the smallest field of start, twice start ... up to 256 is taken of whose "
        "side the box takes no more than `reach`.",
        _table(["start", *(f"reach {r}" for r in REACHES)], _ladders(nuclei)),
        "## Cost on one CPU thread",
        _table(["", "embeddings", "CPU s a nucleus"], _costs(ways, heads, costs, len(nuclei))),
    ]
    return "\n\n".join(parts) + "\n"


def _of_group(group: str):
    return lambda nucleus: nucleus.group == group


def _of_size(bounds: tuple[int, int]):
    return lambda nucleus: bounds[0] <= nucleus.extent < bounds[1]


def _name(bounds: tuple[int, int]) -> str:
    return f"{bounds[0]}-{bounds[1]}" if bounds[1] < 1000 else f"{bounds[0]} and more"


def _rows(nuclei, ways, kinds) -> Iterator[list[str]]:
    for name, belongs in [*kinds, ("all", lambda _: True)]:
        some = [n for n in nuclei if belongs(n)]
        if some:
            yield [name, str(len(some)), *(_cell(some, way) for way in ways)]


def _cell(nuclei: list[Nucleus], way: str) -> str:
    values = [n.scores[way] for n in nuclei if way in n.scores]
    if not values:
        return "-"
    note = "" if len(values) == len(nuclei) else f" (n {len(values)})"
    return f"{np.mean(values):.3f} / {np.median(values):.3f}{note}"


def _ladders(nuclei: list[Nucleus]) -> Iterator[list[str]]:
    for start in STARTS:
        scores = [np.mean([_ladder(n, start, reach) for n in nuclei]) for reach in REACHES]
        yield [str(start), *(f"{score:.3f}" for score in scores)]


def _costs(ways, heads, costs: dict[str, Cost], count: int) -> Iterator[list[str]]:
    for way, head in zip(ways, heads, strict=True):
        if way in costs:
            yield [head, str(costs[way].embeddings), f"{costs[way].seconds / count:.3f}"]


def _table(head: list[str], rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
