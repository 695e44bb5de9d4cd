"""Measure the network of prompts on the images that `heads.toml` keeps, for several weights files.

    python benchmarks/bench_prompts.py [--data ../shared/data] [--weights FILE ...] [--objects 6]

Images are brought to 0.25 um/px; prompts are given in the middle 256 px. Simulated people: the
first click is the deepest pixel of the object, the next ones the deepest pixel of the larger error
(RITM's rule), 15 at most; boxes are jittered by 2 px; scribbles as in
`histoprompt.pipelines.evaluate.simulate`. Every file is asked the same things. "-" is the file that
comes with the package. Regions are superpixels of the same images of 1,500 to 15,000 px: no glands
with outlines are at hand.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from bench_heads import fields, kept, load, medscribble, middle
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.metrics import iou
from histoprompt.core.prompts.prompt import Prompt, ScribbleMap
from histoprompt.core.results import Mask
from histoprompt.models.zoo import histoprompt_lite as lite
from histoprompt.pipelines.evaluate.simulate import (
    centre_click,
    correcting_click,
    jittered_box,
    scribble,
)
from histoprompt.training.data import Sample
from histoprompt.training.evaluate import known_only
from histoprompt.training.prompt_targets import image_regions

CLICKS = 15
SMALLEST = 60
LARGE = (1500, 15_000)
TRIES = 6
WAYS = ("box", "scribble", "1 click", "3 clicks", "NoC@85", "failed@85", "forgotten", "best of 3")
RESULT = Path(__file__).parent / "results" / "prompts.md"
Region = NDArray[np.bool_]
Found = dict[str, list[float]]


def objects_of(sample: Sample, most: int) -> Iterator[Region]:
    """Some whole nuclei of a field, always the same ones."""
    inner = known_only(sample.labels, sample.known)
    areas = np.bincount(inner.ravel())
    areas[0] = 0
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(areas >= SMALLEST))[:most]
    return (inner == value for value in chosen)


def regions_of(sample: Sample, most: int) -> Iterator[Region]:
    """Some large superpixels of a field in one piece, always the same ones."""
    count = 0
    for seed in range(TRIES):
        for region in image_regions(sample.image, 40, np.random.default_rng((2, seed))):
            pieces, _ = ndi.label(region)
            largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
            if count < most and LARGE[0] <= largest.sum() <= LARGE[1]:
                count += 1
                yield largest


def ask(model: Any, sample: Sample, targets: Iterator[Region], found: Found) -> None:
    """Prompt each target in every way and gather what comes out."""
    embedding = model.embed(sample.image)

    def best(prompt: Prompt) -> list[Mask]:
        return model.segment(embedding, [prompt])[0]

    for number, target in enumerate(targets):
        rng = np.random.default_rng((1, number))
        box = Box(*jittered_box(target, rng))
        found["box"].append(iou(best(Prompt.of_box(box))[0].array, target))
        drawn = ScribbleMap(scribble(target, rng).astype(np.uint8), Frame.of_array(target))
        found["scribble"].append(iou(best(Prompt(painted=drawn))[0].array, target))
        first = best(Prompt.of_points([centre_click(target)]))
        found["best of 3"].append(max(iou(m.array, target) for m in first))
        curve = clicking(best, target, remember=True)
        found["1 click"].append(curve[0])
        found["3 clicks"].append(curve[min(2, len(curve) - 1)])
        for name, values in (
            ("NoC@85", curve),
            ("forgotten", clicking(best, target, remember=False)),
        ):
            done = [k for k, v in enumerate(values, start=1) if v >= 0.85]
            found[name].append(done[0] if done else CLICKS)
            if name == "NoC@85":
                found["failed@85"].append(float(not done))


def clicking(best: Any, target: Region, *, remember: bool) -> list[float]:
    """IoU after each click, until 0.85 and three clicks, or the most clicks."""
    points, labels = [centre_click(target)], [True]
    curve: list[float] = []
    last: tuple[Prompt, Mask] | None = None
    while True:
        prompt = Prompt.of_points(points, labels)
        if remember and last is not None:
            prompt = prompt.after(*last)
        answer = best(prompt)[0]
        last, mask = (prompt, answer), answer.array
        curve.append(iou(mask, target))
        if (max(curve) >= 0.85 and len(curve) >= 3) or len(curve) == CLICKS:
            return curve
        step = correcting_click(mask, target, points)
        if step is None:
            return curve
        points.append(step[0])
        labels.append(step[1])


def cost(model: Any, sample: Sample) -> tuple[float, float]:
    """Seconds of CPU for looking once and for one click, medians of nine."""
    embedding = model.embed(sample.image)
    calls = (
        lambda: model.embed(sample.image),
        lambda: model.segment(embedding, [Prompt.of_points([(128, 128)])]),
    )
    out = []
    for call in calls:
        spent = []
        for _ in range(9):
            start = time.process_time()
            call()
            spent.append(time.process_time() - start)
        out.append(float(np.median(spent)))
    return out[0], out[1]


def row(name: str, file: str, found: Found) -> str:
    cells = " | ".join(f"{np.mean(found[way]):.3f}" for way in WAYS)
    return f"| {name} | {len(found['box'])} | {file} | {cells} |"


def sets(data: Path, limit: int | None) -> dict[str, list[Sample]]:
    """The middle of the kept images, by set and group."""
    every = fields(kept(data))
    return {
        name: [middle(s) for s in samples][:limit]
        for (name, mpp), samples in sorted(every.items())
        if mpp == "0.25"
    }


def report(args: argparse.Namespace, files: Sequence[str]) -> str:
    """All tables as Markdown."""
    shown = sets(args.data, args.limit)
    lines = [
        "# The network of prompts",
        "",
        f"`python benchmarks/bench_prompts.py`: {args.objects} nuclei of each kept image at most, "
        f"of {SMALLEST} px or more, at 0.25 um/px. *Forgotten* is NoC@85 with the answer before "
        "not shown, *best of 3* the best of a lone click's masks.",
        "",
        f"| tiles | n | weights | {' | '.join(WAYS)} |",
        "|---|---:|---|" + "---:|" * len(WAYS),
    ]
    more = []
    for file in files:
        weights = None if file == "-" else Path(file)
        model = lite.load_prompts(lite.CARD, weights, "cpu")
        name = "shipped" if weights is None else weights.stem
        each: list[Found] = []
        regions: Found = defaultdict(list)
        for group, samples in shown.items():
            found: Found = defaultdict(list)
            for sample in samples:
                ask(model, sample, objects_of(sample, args.objects), found)
                ask(model, sample, regions_of(sample, args.regions), regions)
            each.append(found)
            lines.append(row(group, name, found))
        means = {way: [float(np.mean(f[way])) for f in each] for way in WAYS}
        lines.append(row("mean of sets", name, {**means, "box": means["box"]}))
        if args.regions:
            lines.append(row("regions", name, regions))
        look, click = cost(model, next(iter(shown.values()))[0])
        more.append(f"| {name} | CPU ms, looking once | {1000 * look:.1f} |")
        more.append(f"| {name} | CPU ms, one click | {1000 * click:.1f} |")
        if not args.quick:
            table = medscribble(model, args.data / "scribbles" / "medscribble")
            more += [
                f"| {name} | Dice, {k} ({v['n']:.0f}) | {v['dice']:.3f} |" for k, v in table.items()
            ]
    lines += ["", "| weights | | |", "|---|---|---:|", *more]
    lines += ["", f"threads: {args.threads}, {load()}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--weights", nargs="+", default=["-"], metavar="FILE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--objects", type=int, default=6, help="nuclei of each image")
    parser.add_argument("--regions", type=int, default=1, help="regions of each image")
    parser.add_argument("--limit", type=int, help="only the first images of each set")
    parser.add_argument("--quick", action="store_true", help="leave out MedScribble")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    args.out.write_text(report(args, args.weights))
    print(args.out.read_text())


if __name__ == "__main__":
    main()
