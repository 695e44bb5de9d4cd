"""Prompts to masks through the real manager, cache and field plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fakes import BOX_ONLY, CARD, FakeSegmenter, ellipse_in
from histoprompt.core.errors import Cancelled, OutOfMemoryError, PromptError, RegionError
from histoprompt.core.formats.open import open_slide
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.metrics import iou
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt, Strokes
from histoprompt.core.results import Mask
from histoprompt.core.slides.sample import SLIDE, sample_file
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import Embedding
from histoprompt.pipelines.prompts.segment import (
    BATCH,
    ObjectMasks,
    SegmentJob,
    continued,
    fit_prompt,
    segment,
    segment_stream,
)
from truth import nuclei_near

# A card whose fields are as large as those of a real network.
WIDE = replace(CARD, crop_px=256, input_size=256)
DISCS = [(60, 70), (60, 190), (170, 100), (170, 230), (210, 40)]
RADIUS = 14


class Forgetful(FakeSegmenter):
    """Runs out of memory on more prompts at once than it can hold."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[list[Mask]]:
        if len(prompts) > self.room:
            raise MemoryError(f"no room for {len(prompts)} prompts")
        return super().segment(embedding, prompts)


def job_with(model: FakeSegmenter, card: ModelCard | None = None) -> SegmentJob:
    """A job whose manager loads this very model."""
    manager = ModelManager("cpu", budget_mib=4096, load=lambda card, weights, device: model)
    return SegmentJob(manager, EmbeddingCache(), card or model.card)


def real_job(model_id: str) -> SegmentJob:
    return SegmentJob(ModelManager("cpu"), EmbeddingCache(), registry.card(model_id))


def blank(rows: int, cols: int) -> Slide:
    return Slide.from_arrays(f"blank {rows} x {cols}", np.full((rows, cols, 3), 230, np.uint8))


def boxed(boxes: Sequence[Box], first_id: int = 1) -> list[ObjectPrompt]:
    return [ObjectPrompt(first_id + i, Prompt.of_box(box)) for i, box in enumerate(boxes)]


def disc(row: int, col: int, shape: tuple[int, int] = (260, 300)) -> np.ndarray:
    rr, cc = np.mgrid[: shape[0], : shape[1]]
    return (rr - row) ** 2 + (cc - col) ** 2 <= RADIUS**2


def on_slide(found: ObjectMasks, slide: Slide) -> np.ndarray:
    """The best mask as a (rows, cols) bool array of the slide's size."""
    mask, out = found.masks[0], np.zeros(slide.shape, bool)
    out[mask.frame.box.slices()] = mask.array
    return out


@pytest.fixture(scope="module")
def discs() -> Slide:
    """Dark purple discs on pink."""
    rng = np.random.default_rng(0)
    image = np.full((260, 300, 3), (232, 190, 215), float)
    for row, col in DISCS:
        image[disc(row, col)] = (90, 60, 140)
    noisy = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    return Slide.from_arrays("discs", noisy, mpp=0.25)


# -- what comes back ------------------------------------------------------------------------------


def test_results_come_in_the_order_asked_with_the_ids_given():
    slide, rng = blank(700, 900), np.random.default_rng(1)
    boxes = [Box(r, c, r + 20, c + 31) for r, c in rng.integers(0, 660, (40, 2)).tolist()]
    objects = [ObjectPrompt(1000 - 7 * i, Prompt.of_box(box)) for i, box in enumerate(boxes)]
    found = segment(slide, objects, job_with(FakeSegmenter()), Task())
    assert [item.id for item in found] == [item.id for item in objects]
    for item, box in zip(found, boxes, strict=True):
        assert item.used.box == box
        assert item.note == ""
        assert np.array_equal(on_slide(item, slide), ellipse_in(box, slide.shape))


def test_the_stream_names_every_object_once_and_agrees():
    slide = blank(300, 300)
    objects = boxed([Box(10, 10, 30, 40), Box(250, 240, 280, 260), Box(12, 50, 30, 70)])
    streamed = dict(segment_stream(slide, objects, job_with(FakeSegmenter()), Task()))
    assert sorted(streamed) == [0, 1, 2]
    for i, item in enumerate(segment(slide, objects, job_with(FakeSegmenter()), Task())):
        assert np.array_equal(on_slide(streamed[i], slide), on_slide(item, slide))


def test_nothing_asked_gives_nothing():
    model = FakeSegmenter()
    assert segment(blank(100, 100), [], job_with(model), Task()) == []
    assert model.embeds == 0


def test_all_candidates_come_back_best_first():
    objects = [ObjectPrompt(1, Prompt.of_points([[50, 60]]))]
    (found,) = segment(blank(100, 120), objects, job_with(FakeSegmenter()), Task())
    assert [mask.score for mask in found.masks] == [0.9, 0.1]
    assert not found.masks[0].empty
    assert found.masks[1].empty


def test_five_hundred_boxes_on_a_tile_share_few_embeddings():
    slide, rng = blank(1000, 1000), np.random.default_rng(2)
    corners = rng.integers(0, 970, (500, 2)).tolist()
    objects = boxed([Box(r, c, r + 28, c + 24) for r, c in corners])
    model = FakeSegmenter(WIDE)
    job = job_with(model)
    found = segment(slide, objects, job, Task())
    assert len(found) == 500
    # Fields of 256 that overlap by a quarter: six rows of six cover the tile.
    assert model.embeds <= 36
    assert sum(model.batches) == 500
    assert max(model.batches) <= BATCH
    before = model.embeds
    segment(slide, objects, job, Task())
    assert model.embeds == before


def test_another_slide_or_other_weights_are_another_embedding(tmp_path):
    model = FakeSegmenter()
    job, objects = job_with(model), boxed([Box(10, 10, 30, 30)])
    segment(blank(100, 100), objects, job, Task())
    segment(blank(100, 101), objects, job, Task())
    assert model.embeds == 2
    segment(blank(100, 100), objects, replace(job, weights=tmp_path / "own.pth"), Task())
    assert model.embeds == 3


@pytest.mark.parametrize("side", [(1700, 900), (380, 1500)])
def test_a_large_object_lies_where_it_was_boxed(side):
    slide, box = blank(2100, 1900), Box(250, 140, 250 + side[0], 140 + side[1])
    model = FakeSegmenter(WIDE)
    (found,) = segment(slide, boxed([box]), job_with(model), Task())
    truth = ellipse_in(box, slide.shape)
    mask = on_slide(found, slide)
    assert iou(mask, truth) > 0.95
    # A pixel of the field is 8 or so of the slide; the middle is right to a fraction of that.
    assert np.abs(np.argwhere(mask).mean(0) - np.argwhere(truth).mean(0)).max() < 1.0


def test_the_field_of_a_large_object_is_read_downsampled():
    shapes = []

    class Watcher(FakeSegmenter):
        def embed(self, image):
            shapes.append(image.shape)
            return super().embed(image)

    segment(blank(2100, 1900), boxed([Box(250, 140, 1950, 1040)]), job_with(Watcher(WIDE)), Task())
    assert len(shapes) == 1
    assert max(shapes[0]) <= WIDE.input_size


def test_masks_are_cut_at_the_slide():
    slide = blank(100, 120)
    (found,) = segment(slide, boxed([Box(80, -10, 110, 30)]), job_with(FakeSegmenter()), Task())
    assert slide.box.covers(found.masks[0].frame.box)
    assert not found.masks[0].empty


# -- prompts a model does not take ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        (Prompt.of_points([list(DISCS[0])]), "clicks"),
        (Prompt(strokes=Strokes((np.array([[60.0, 62], [60, 78]]),), width=3)), "scribbles"),
        (
            Prompt(
                points=np.array([list(DISCS[0])]),
                labels=np.array([True]),
                strokes=Strokes((np.array([[60.0, 62], [60, 78]]),)),
            ),
            "clicks and scribbles",
        ),
    ],
)
def test_clicks_and_scribbles_become_a_box_for_a_box_only_model(discs, prompt, word):
    job = job_with(FakeSegmenter(BOX_ONLY))
    (found,) = segment(discs, [ObjectPrompt(3, prompt)], job, Task())
    assert found.used.kinds == {"box"}
    assert found.note == f"Fake for boxes takes boxes only: the {word} became a box."
    assert iou(on_slide(found, discs), disc(*DISCS[0])) > 0.6


def test_clicks_nearby_share_a_look_and_propose_what_a_first_one_would(discs):
    cache = EmbeddingCache()
    places = [(60.0, 70.0), (63.0, 73.0), (60.0, 190.0)]
    prompts = [Prompt.of_points([place]) for place in places]
    shared = [fit_prompt(discs, BOX_ONLY, prompt, cache)[0].box for prompt in prompts]
    assert len(cache) < len(prompts)
    assert shared == [fit_prompt(discs, BOX_ONLY, prompt)[0].box for prompt in prompts]
    for place, box in zip(places, shared, strict=True):
        assert box.contains(*place)


def test_a_box_is_kept_and_the_rest_left_out_for_a_box_only_model(discs):
    box = Box(40, 50, 80, 90)
    prompt = Prompt(points=np.array([[60.0, 70]]), labels=np.array([False]), box=box)
    used, note = fit_prompt(discs, BOX_ONLY, prompt)
    assert (used.kinds, used.box) == ({"box"}, box)
    assert note == "Fake for boxes takes no clicks: they were left out."


def test_a_model_without_boxes_refuses_what_it_does_not_take(discs):
    clicks_only = replace(CARD, accepts=frozenset({"point", "scribble"}))
    with pytest.raises(PromptError, match="Fake takes no boxes; it takes clicks, scribbles"):
        fit_prompt(discs, clicks_only, Prompt.of_box(Box(1, 1, 9, 9)))


# -- bad prompts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "numbers"),
    [
        (Prompt.of_box(Box(500, 10, 520, 30)), ["500", "520"]),
        (Prompt.of_box(Box(80, 90, 140, 150)), ["80", "150"]),
        (Prompt.of_points([[5, 121]]), ["5.0", "121.0"]),
        (Prompt(strokes=Strokes((np.array([[-40.0, 4], [-30, 9]]),))), ["-40", "-29"]),
    ],
)
def test_a_prompt_off_the_slide_is_refused_with_the_numbers(prompt, numbers):
    model = FakeSegmenter()
    with pytest.raises(RegionError) as caught:
        segment(blank(100, 120), [ObjectPrompt(8, prompt)], job_with(model), Task())
    for text in ("Object 8", "100 rows", "120 columns", *numbers):
        assert text in str(caught.value)
    assert model.embeds == 0


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt.of_points([[5, 6]], [False]),
        Prompt(strokes=Strokes(negative=(np.array([[4.0, 4], [5, 9]]),))),
        Prompt(),
    ],
)
def test_a_prompt_that_only_excludes_is_refused(prompt):
    with pytest.raises(PromptError, match="Object 2 has no box, positive click or positive scrib"):
        segment(blank(50, 50), [ObjectPrompt(2, prompt)], job_with(FakeSegmenter()), Task())


def test_one_bad_prompt_stops_before_any_work():
    model = FakeSegmenter()
    objects = boxed([Box(1, 1, 20, 20), Box(400, 400, 420, 420)])
    with pytest.raises(RegionError):
        segment(blank(100, 100), objects, job_with(model), Task())
    assert model.embeds == 0


# -- cancel and memory ----------------------------------------------------------------------------


def test_cancel_takes_effect_between_batches_and_work_can_go_on():
    slide, model = blank(256, 256), FakeSegmenter(WIDE)
    job = job_with(model)
    objects = boxed([Box(r, c, r + 9, c + 9) for r in range(9, 240, 30) for c in range(9, 240, 30)])
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        if progress.total:
            seen.append(progress)
        if len(seen) == 2:
            task.cancel()

    task = Task(report)
    with pytest.raises(Cancelled):
        segment(slide, objects, job, task)
    assert len(model.batches) < len(objects) / BATCH
    assert sum(model.batches) <= 2 * BATCH
    assert len(segment(slide, objects, job, Task())) == len(objects)
    assert model.embeds == 1


def test_progress_ends_with_everything_done():
    seen: list[Progress] = []
    objects = boxed([Box(10, 10, 30, 30), Box(60, 60, 90, 80)])
    segment(blank(100, 100), objects, job_with(FakeSegmenter()), Task(seen.append))
    steps = [p for p in seen if p.total]
    assert [p.done for p in steps] == sorted(p.done for p in steps)
    assert (steps[-1].done, steps[-1].total) == (2, 2)


def test_a_batch_too_large_for_memory_is_halved():
    model, slide = Forgetful(room=BATCH // 2), blank(64, 64)
    boxes = [Box(r, 3, r + 5, 12) for r in range(0, 48, 3)]
    assert len(boxes) == BATCH
    found = segment(slide, boxed(boxes), job_with(model), Task())
    assert model.batches == [BATCH // 2, BATCH // 2]
    for item, box in zip(found, boxes, strict=True):
        assert np.array_equal(on_slide(item, slide), ellipse_in(box, slide.shape))


def test_memory_that_stays_short_is_a_clear_error():
    objects = boxed([Box(3, 3, 20, 20), Box(30, 30, 50, 50)])
    with pytest.raises(OutOfMemoryError, match=r"Fake ran out of memory on cpu: \d+ MiB"):
        segment(blank(64, 64), objects, job_with(Forgetful(room=0)), Task())


# -- real models ----------------------------------------------------------------------------------


def test_classical_finds_discs_by_box_click_and_scribble(discs):
    (r0, c0), (r1, c1), (r2, c2) = DISCS[:3]
    line = np.array([[r2, c2 - 8.0], [r2, c2 + 8.0]])
    prompts = [
        Prompt.of_box(Box(r0 - 15, c0 - 15, r0 + 16, c0 + 16)),
        Prompt.of_points([[r1, c1]]),
        Prompt(strokes=Strokes((line,), width=3)),
    ]
    objects = [ObjectPrompt(i + 1, prompt) for i, prompt in enumerate(prompts)]
    found = segment(discs, objects, real_job("classical"), Task())
    for item, where in zip(found, DISCS, strict=False):
        assert item.note == ""
        assert iou(on_slide(item, discs), disc(*where)) > 0.75


def test_together_or_alone_gives_the_same_masks(discs):
    small = Slide.from_arrays("corner", discs.levels[0][:256, :256])
    boxes = [Box(r - 15, c - 15, r + 16, c + 16) for r, c in DISCS if c < 240]
    job = real_job("classical")
    together = segment(small, boxed(boxes), job, Task())
    assert len(job.cache) == 1
    for box, item in zip(boxes, together, strict=True):
        (alone,) = segment(small, boxed([box]), real_job("classical"), Task())
        assert np.array_equal(on_slide(alone, small), on_slide(item, small))


def test_litemedsam_outlines_nuclei_of_the_sample_slide():
    nuclei = nuclei_near(5)
    job = real_job("litemedsam")
    with open_slide(sample_file(SLIDE)) as slide:
        prompts = [Prompt.of_box(n.box) for n in nuclei[:4]] + [
            Prompt.of_points([nuclei[4].middle])
        ]
        objects = [ObjectPrompt(i + 1, prompt) for i, prompt in enumerate(prompts)]
        found = segment(slide, objects, job, Task())
        for nucleus, item in zip(nuclei, found, strict=True):
            assert nucleus.iou(on_slide(item, slide)) > 0.6
        assert "became a box" in found[4].note
        again = segment(slide, objects[:4], job, Task())
    for first, second in zip(found, again, strict=False):
        assert np.array_equal(first.masks[0].array, second.masks[0].array)


def test_an_answer_goes_along_until_its_prompt_is_taken_back():
    def told(*answers: ObjectMasks) -> list[Mask | None]:
        return [item.prompt.previous for item in continued(asked, answers)]

    def answer(number: int, prompt: Prompt, *masks: Mask) -> ObjectMasks:
        return ObjectMasks(number, masks, prompt)

    square = Mask(np.ones((8, 8), bool), Frame(Box(0, 0, 8, 8), (8, 8)))
    wide = Mask(np.ones((8, 16), bool), Frame(Box(0, 0, 8, 16), (8, 16)))
    one, two = Prompt.of_points([[4, 4]]), Prompt.of_points([[4, 4], [6, 12]])
    asked = [ObjectPrompt(1, two), ObjectPrompt(2, two)]
    assert told() == [None, None]
    assert told(answer(1, one, wide, square)) == [wide, None]
    assert told(answer(2, one, square), answer(1, one, wide)) == [wide, square]
    assert told(answer(1, two, wide), answer(3, one, wide)) == [None, None]
    asked = [ObjectPrompt(1, one)]
    assert told(answer(1, two, wide)) == [None]
