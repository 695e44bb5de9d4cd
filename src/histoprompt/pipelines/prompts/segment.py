"""Prompts to masks: the use case behind the Prompt dock and ``histoprompt segment``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histoprompt.core.errors import PromptError, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import KIND_WORDS, Prompt, PromptKind
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache, EmbeddingKey
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import Embedding, PromptSegmenter
from histoprompt.pipelines.prompts.box_proposals import propose
from histoprompt.pipelines.prompts.fields import FieldPlan, plan_fields

Planner = Callable[[Slide, ModelCard, Sequence[Box], Callable[[Frame], bool]], "list[FieldPlan]"]

# Prompts handed to the decoder at once: bounds memory and lets Cancel work.
BATCH = 16


@dataclass(frozen=True, eq=False)
class ObjectMasks:
    """What a model made of one object's prompt.

    Attributes
    ----------
    id : int
        The object's label value.
    masks : tuple of Mask
        Candidates in level-0 pixels, best first; never empty, though a mask may be.
    used : Prompt
        The prompt the model was given, level-0 pixels.
    note : str
        What was changed about the prompt and why; empty if nothing was.
    """

    id: int
    masks: tuple[Mask, ...]
    used: Prompt
    note: str = ""


@dataclass(frozen=True, eq=False)
class SegmentJob:
    """A model and what it needs to be used: one for the whole life of a session or command.

    Attributes
    ----------
    manager : ModelManager
        Lends the model.
    cache : EmbeddingCache
        Keeps embeddings between prompts.
    card : ModelCard
        Which model.
    weights : Path or None
        The user's own file, in place of the card's.
    """

    manager: ModelManager
    cache: EmbeddingCache
    card: ModelCard
    weights: Path | None = None

    def key(self, slide: Slide, frame: Frame) -> EmbeddingKey:
        """Under which the embedding of a field is kept."""
        model = f"{self.card.id}:{self.weights or ''}"
        return EmbeddingKey(slide.key, model, frame.box, frame.shape)


def segment(
    slide: Slide, objects: Sequence[ObjectPrompt], job: SegmentJob, task: Task
) -> list[ObjectMasks]:
    """Segment objects; results come in the order of `objects`.

    Objects near each other share one field and its embedding.

    Parameters
    ----------
    slide : Slide
        Where the objects are.
    objects : sequence of ObjectPrompt
        Level-0 pixels. Prompts the model does not take become a box (see `ObjectMasks.note`).
    job : SegmentJob
        The model.
    task : Task
        Told of every field; cancels between batches.

    Raises
    ------
    PromptError
        If a prompt says nowhere where its object is.
    RegionError
        If a prompt lies outside the slide.
    Cancelled
        If the task is.
    """
    found = dict(segment_stream(slide, objects, job, task))
    return [found[i] for i in range(len(objects))]


def segment_stream(
    slide: Slide,
    objects: Sequence[ObjectPrompt],
    job: SegmentJob,
    task: Task,
    plan: Planner = plan_fields,
) -> Iterator[tuple[int, ObjectMasks]]:
    """As `segment`, giving (index, result) field by field as they are done.

    `plan` chooses the fields: `fields.plan_fields` or `fields.fixed_fields`.
    """
    for item in objects:
        check_prompt(slide, item)
    asked = [fit_prompt(slide, job.card, item.prompt, job.cache) for item in objects]
    extents = [_extent_inside(slide, prompt) for prompt, _ in asked]
    plans = plan(slide, job.card, extents, lambda f: job.key(slide, f) in job.cache)
    done = 0
    for field in plans:
        for start in range(0, len(field.members), BATCH):
            members = field.members[start : start + BATCH]
            task.step(
                done, len(objects), f"Segmenting {len(objects):,} objects with {job.card.title}"
            )
            candidates = _segment_field(slide, field, [asked[i][0] for i in members], job, task)
            for index, masks in zip(members, candidates, strict=True):
                level0 = tuple(_kept(m, slide.box, corrected=len(objects) == 1) for m in masks)
                yield index, ObjectMasks(objects[index].id, level0, *asked[index])
            done += len(members)
    task.step(done, len(objects), "Done")


def continued(
    objects: Sequence[ObjectPrompt], answers: Sequence[ObjectMasks]
) -> list[ObjectPrompt]:
    """Prompts with the answers shown before, for objects that were corrected since.

    A prompt that lost something, or is another one, is asked about afresh: what was taken back
    leaves no trace.

    Parameters
    ----------
    objects : sequence of ObjectPrompt
    answers : sequence of ObjectMasks
        The first mask of each is the one that was shown.
    """
    shown = {answer.id: answer for answer in answers}
    out = []
    for item in objects:
        last = shown.get(item.id)
        prompt = item.prompt if last is None else item.prompt.after(last.used, last.masks[0])
        out.append(replace(item, prompt=prompt))
    return out


def check_prompt(slide: Slide, item: ObjectPrompt) -> None:
    """Refuse a prompt that selects nothing or lies off the slide.

    Raises
    ------
    PromptError
        If nothing says where the object is.
    RegionError
        If the positive parts do not all touch the slide; the message gives the numbers.
    """
    if not item.prompt.is_positive:
        raise PromptError(
            f"Object {item.id} has no box, positive click or positive scribble: "
            "say where the object is."
        )
    extent = item.prompt.extent(positive_only=True)
    points = item.prompt.points[item.prompt.labels]
    outside = [p for p in points if not slide.box.contains(*p)]
    if outside or _is_off(slide.box, extent):
        where = tuple(outside[0].tolist()) if outside else tuple(extent)
        rows, cols = slide.shape
        raise RegionError(
            f"Object {item.id}: {where} lies outside the slide, which has {rows} rows and "
            f"{cols} columns (level-0 pixels, row before column)."
        )


def _is_off(bounds: Box, extent: Box) -> bool:
    """Whether less than half of the extent is on the slide: a slip of a pixel is forgiven."""
    inside = extent.intersection(bounds)
    return inside is None or inside.area < extent.area / 2


def fit_prompt(
    slide: Slide, card: ModelCard, prompt: Prompt, cache: EmbeddingCache | None = None
) -> tuple[Prompt, str]:
    """The prompt in kinds the model takes, and a note of what was changed.

    Box-only models give an IoU near 0 for clicks, so clicks and scribbles are never sent to them:
    the nucleus under the click, or the scribble's extent, becomes a box. `cache` keeps what was
    seen of the surroundings for the next prompt nearby.
    """
    refused = prompt.kinds - card.accepts
    if not refused:
        return prompt, ""
    names = _names(refused, " and ")
    rest = prompt.without(*refused)
    if rest.is_positive:
        return rest, f"{card.title} takes no {names}: they were left out."
    if "box" not in card.accepts:
        raise PromptError(f"{card.title} takes no {names}; it takes {_names(card.accepts, ', ')}.")
    box = propose(slide, prompt, EmbeddingCache() if cache is None else cache)
    return Prompt.of_box(box), f"{card.title} takes boxes only: the {names} became a box."


def _names(kinds: Iterable[PromptKind], between: str) -> str:
    return between.join(sorted(KIND_WORDS[kind] for kind in kinds))


def _extent_inside(slide: Slide, prompt: Prompt) -> Box:
    extent = prompt.extent(positive_only=True)
    return extent.intersection(slide.box) or extent.shift_inside(slide.box)


def _segment_field(
    slide: Slide, plan: FieldPlan, prompts: Sequence[Prompt], job: SegmentJob, task: Task
) -> list[list[Mask]]:
    """Segment the prompts of one field; masks come framed on the slide."""
    frame = plan.frame

    def decode(model: PromptSegmenter, part: Sequence[Prompt]) -> list[list[Mask]]:
        key = job.key(slide, frame)
        embedding = job.cache.get_or_compute(key, lambda: _embed(slide, frame, model))
        return model.segment(embedding, [p.into(frame) for p in part])

    found = job.manager.run(job.card, task, decode, list(prompts), job.weights)
    return [[mask.onto(frame) for mask in masks] for masks in found]


def _embed(slide: Slide, frame: Frame, model: PromptSegmenter) -> Embedding:
    image, _ = slide.read(frame.box, frame.shape)
    return model.embed(image)


def _kept(mask: Mask, bounds: Box, *, corrected: bool) -> Mask:
    """A mask in level-0 pixels; with its logits if it may be corrected, which one of many is not.

    Of thousands of objects they would fill the memory.
    """
    return replace(mask.at_level0(bounds), logits=mask.logits if corrected else None)
