"""Proposals as a person is shown them, and answers kept as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ParameterError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.recipes.beside import Needs, keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.review import ReviewAnswer, keep_answers, read_kept
from histoprompt.pipelines.tags.run import (
    SlideToTag,
    Tagged,
    kept_params,
    read_tagged,
    reopened,
    review,
    tag_slides,
)
from histoprompt.pipelines.tags.tag_file import read_tags, write_tags
from histoprompt.pipelines.tags.work import TaggedSlide


@dataclass(frozen=True, eq=False)
class Proposal:
    """A candidate that a person is shown.

    Attributes
    ----------
    id : int
    picture : (h, w, 3) uint8
    tag : str
        As words proposed it; empty for none.
    score : float
    header : str
    doubts : tuple of str
        What measured facts have against it.
    dropped : str
        Why the filter dropped it; empty for what it kept.
    slide_key : str
    box : Box
        Level-0 pixels.
    """

    id: int
    picture: NDArray[np.uint8]
    tag: str
    score: float
    header: str
    doubts: tuple[str, ...]
    dropped: str
    slide_key: str
    box: Box


def proposals(tagged: Tagged) -> tuple[Proposal, ...]:
    """What is shown of some results, disagreements first."""
    work, rows = tagged.work, tagged.rows
    return tuple(
        Proposal(
            rows[i].id, work.pictures[place], work.proposed[i], rows[i].score, rows[i].header,
            work.doubts[i], rows[i].reason, work.slides[int(work.of[i])].key,
            Box(*work.candidates.boxes[i].tolist()),
        )
        for place, i in enumerate(work.shown.tolist())
    )  # fmt: skip


def answers_of(tagged: Tagged) -> dict[int, ReviewAnswer]:
    """What was answered so far, taken in or not, by id."""
    rows = {row.id: ReviewAnswer(row.id, row.reviewed, row.tag if row.reviewed == "fix" else "",
                         row.reviewer) for row in tagged.rows if row.reviewed}  # fmt: skip
    kept = {one.id: one for one in read_kept(tagged.folder, tagged.work.names)}
    return {number: said for number, said in (rows | kept).items() if said.answer}


def keep_answer(tagged: Tagged, said: ReviewAnswer) -> None:
    """Keep an answer on disk at once; it is taken into the table later."""
    keep_answers(tagged.folder, tagged.work.names, [said])


def propose(
    slide: Slide, params: TagParams, out: Path, manager: ModelManager, task: Task
) -> Tagged:
    """Propose tags for one slide that is open; raises as `run.tag_slides`."""
    path = "" if slide.path is None else str(slide.path)
    one = SlideToTag(slide.name, path, lambda: nullcontext(slide))
    done = tag_slides([one], params, manager, out, task)
    keep_recipe(out, (RecipeStep("tag", kept_params(params)),))
    return done


def tag_chosen(params: TagParams, needs: Needs) -> TagParams:
    """What a person chose in a window as parameters that a recipe holds, the tags beside it.

    Raises
    ------
    PromptError
        If the tags cannot be read.
    ExportError
        If they cannot be written.
    """
    if params.tags is None:
        raise ParameterError("Tags are not given; name a file of tags.")
    tags = read_tags(params.tags)
    write_tags(needs.file("tags.toml"), tags)
    return replace(placed(params), tags=needs.file("tags.toml"))


def take_in(
    tagged: Tagged,
    answers: Mapping[int, ReviewAnswer] | Sequence[ReviewAnswer],
    slide: Slide | None,
    task: Task,
) -> Tagged:
    """Take all answers into the table and the training set; raises as `run.review`.

    Parameters
    ----------
    tagged : Tagged
    answers : mapping of int to Said, or sequence of ReviewAnswer
    slide : Slide or None
        One that is open.
    task : Task
    """
    said = tuple(answers.values()) if isinstance(answers, Mapping) else tuple(answers)

    def opened(one: TaggedSlide) -> AbstractContextManager[Slide]:
        if slide is not None and slide.key == one.key:
            return nullcontext(slide)
        return reopened(one)

    return review(tagged.folder, said, task, opened, keep=False)


def opened_tagging(folder: Path, task: Task) -> Tagged:
    """The results of a folder; raises `RecordError`."""
    task.step(0, 0, "Reading tags")
    return read_tagged(folder)
