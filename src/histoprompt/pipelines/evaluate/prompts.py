"""How well a model outlines single objects from a box, a scribble, and clicks.

Simulated people: boxes are jittered, scribbles as in `simulate`; the first click is the deepest
pixel of the object, each next one the deepest pixel of the larger error (the rule of RITM). NoC@80
is the number of clicks until the IoU is 0.80, `CLICKS` where it never is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.metrics import iou
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt, ScribbleMap
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.evaluate.report import Cell, Labelled, Report, check_role
from histoprompt.pipelines.evaluate.simulate import (
    centre_click,
    correcting_click,
    jittered_box,
    scribble,
)
from histoprompt.pipelines.prompts.segment import SegmentJob, segment

CLICKS = 20
GOALS = (80, 85, 90)
SHOWN = (1, 3, 5)
LEAST_AREA = 30

Region = NDArray[np.bool_]
TileCells = dict[str, list[float]]


@dataclass(frozen=True)
class PromptBench:
    """What is measured.

    Attributes
    ----------
    objects : int
        Objects of each image that are prompted, always the same ones.
    clicks : int
        Most clicks on one object.
    seed : int
        Of boxes, scribbles and the choice of objects.
    remember : bool
        Whether the model is shown its answer before at each click, as in the window.
    """

    objects: int = 5
    clicks: int = CLICKS
    seed: int = 0
    remember: bool = True


def bench_prompts(
    images: Sequence[Labelled],
    job: SegmentJob,
    task: Task,
    params: PromptBench = PromptBench(),
    *,
    mpp: float | None = None,
) -> Report:
    """Prompt objects of labelled images through the same pipeline a person uses.

    Parameters
    ----------
    images : sequence of Labelled
    job : SegmentJob
        The model; clicks and scribbles it does not take become boxes, and are told apart.
    task : Task
        Told of every image.
    params : PromptBench
    mpp : float, optional
        Microns a pixel of all images.

    Raises
    ------
    ModelError
        If the model takes no prompts.
    LabelError
        If no image has an object large enough.
    """
    check_role(job.card, "prompt", "prompts")
    found: TileCells = defaultdict(list)
    for done, item in enumerate(images):
        task.step(done, len(images), f"Prompting {item.name} with {job.card.title}")
        image, labels = item.read()
        bench = _Image(Slide.from_arrays(item.name, image, mpp=mpp), job, task)
        for target in objects_of(labels, params):
            _measure(bench, target, params, found)
    task.step(len(images), len(images), "Done")
    if not found:
        raise LabelError(f"No image has an object of {LEAST_AREA} pixels or more to prompt.")
    return _report(found, job, params, len(images))


def objects_of(labels: NDArray[np.int32], params: PromptBench) -> Iterator[Region]:
    """Some whole objects of an image, always the same ones."""
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    whole = np.flatnonzero(areas >= LEAST_AREA)
    chosen = np.random.default_rng(params.seed).permutation(whole)[: params.objects]
    return (labels == value for value in chosen)


@dataclass(frozen=True, eq=False)
class _Image:
    """An image that is asked again and again."""

    slide: Slide
    job: SegmentJob
    task: Task

    def best(self, prompt: Prompt) -> Region:
        """The model's first mask on the whole image."""
        return self.answer(prompt)[0]

    def answer(self, prompt: Prompt) -> tuple[Region, Mask]:
        """The model's first mask, on the whole image and as it was answered."""
        (found,) = segment(self.slide, [ObjectPrompt(1, prompt)], self.job, self.task)
        mask, out = found.masks[0], np.zeros(self.slide.shape, bool)
        out[mask.frame.box.slices()] = mask.array
        return out, mask


def _measure(bench: _Image, target: Region, params: PromptBench, found: TileCells) -> None:
    rng = np.random.default_rng(params.seed + 1)
    box = Box(*jittered_box(target, rng))
    found["box"].append(iou(bench.best(Prompt.of_box(box)), target))
    drawn = ScribbleMap(scribble(target, rng).astype(np.uint8), Frame.of_array(target))
    found["scribble"].append(iou(bench.best(Prompt(painted=drawn)), target))
    takes_clicks = "point" in bench.job.card.accepts
    most = params.clicks if takes_clicks else 1
    curve = clicking(bench, target, most, remember=params.remember)
    for count in SHOWN if takes_clicks else (1,):
        found[_clicks(count)].append(curve[min(count, len(curve)) - 1])
    for goal in GOALS if takes_clicks else ():
        reached = [k for k, value in enumerate(curve, start=1) if value >= goal / 100]
        found[f"NoC@{goal}"].append(reached[0] if reached else params.clicks)
        found[f"failed@{goal}"].append(float(not reached))


def clicking(bench: _Image, target: Region, most: int, *, remember: bool = True) -> list[float]:
    """IoU after each click, until it is 0.9 or nothing is wrong that has not been clicked."""
    points, labels = [centre_click(target)], [True]
    curve: list[float] = []
    last: tuple[Prompt, Mask] | None = None
    while True:
        prompt = Prompt.of_points(points, labels)
        if remember and last is not None:
            prompt = prompt.after(*last)
        mask, answer = bench.answer(prompt)
        last = prompt, answer
        curve.append(iou(mask, target))
        if curve[-1] >= GOALS[-1] / 100 or len(curve) >= most:
            return curve
        step = correcting_click(mask, target, points)
        if step is None:
            return curve
        points.append(step[0])
        labels.append(step[1])


def _clicks(count: int) -> str:
    return many(count, "click")


def _report(found: TileCells, job: SegmentJob, params: PromptBench, images: int) -> Report:
    ways = [name for name in ("box", "scribble", *map(_clicks, SHOWN)) if name in found]
    rows: list[tuple[Cell, ...]] = [
        (_titled(name, job), len(found[name]), *_both(found[name]), None, None) for name in ways
    ]
    for goal in (g for g in GOALS if f"NoC@{g}" in found):
        values, failed = found[f"NoC@{goal}"], np.mean(found[f"failed@{goal}"])
        mean = round(float(np.mean(values)), 2)
        rows.append((f"NoC@{goal}", len(values), None, None, mean, round(float(failed), 3)))
    return Report(
        f"{job.card.title}: prompts",
        f"{len(found['box']):,} objects of {images:,} images, {params.objects} of each at most, of "
        f"{LEAST_AREA} pixels or more. Boxes with every side moved by 2 px (sd); scribbles as in "
        f"ScribblePrompt; clicks by RITM's rule, {params.clicks} at most"
        f"{'' if params.remember else ', the answer before not shown'}. Seed {params.seed}.",
        ("prompt", "n", "mean IoU", "median IoU", "clicks needed", "share failed"),
        tuple(rows),
        ("mean IoU", "median IoU"),
    )


def _titled(name: str, job: SegmentJob) -> str:
    """The prompt's name, and whether the model was given a box in its place."""
    kind = "box" if name == "box" else "scribble" if name == "scribble" else "point"
    return name if kind in job.card.accepts else f"{name} (made a box)"


def _both(values: Sequence[float]) -> tuple[float, float]:
    return round(float(np.mean(values)), 3), round(float(np.median(values)), 3)
