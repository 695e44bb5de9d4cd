"""Imported objects outlined anew: each is a box, or a click, that a model is asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import SparseLabels
from histoprompt.core.labels.table import scan
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.pipelines.exchange.incoming import Incoming
from histoprompt.pipelines.prompts.segment import SegmentJob, segment_stream


def refined(slide: Slide, incoming: Incoming, job: SegmentJob, task: Task) -> Incoming:
    """The same objects with the outlines that a model gives them.

    Parameters
    ----------
    slide : Slide
    incoming : Incoming
        Its objects become boxes, points that have no outline become clicks.
    job : SegmentJob
        The model.
    task : Task

    Returns
    -------
    Incoming
        Where outlines overlap, the object that the file names later has the pixels. What the model
        finds nothing for is left out, with a line in `problems`.

    Raises
    ------
    PromptError, ModelError, WeightsError
        As `segment`.
    Cancelled
        If the task is.
    """
    objects = prompts_of(incoming, job.card)
    centres = dict(
        zip((o.id for o in objects[len(incoming.table) :]), incoming.centres, strict=True)
    )
    labels, lost = SparseLabels(slide.shape), []
    for _, found in segment_stream(slide, objects, job, task):
        best = found.masks[0]
        if best.empty:
            lost.append(found.id)
        else:
            labels.paste(best.array.astype(np.uint32) * np.uint32(found.id), best.frame.box)
    names = {**incoming.classes.names, **{i: name for i, (_, _, name) in centres.items()}}
    told = (f"{incoming.path.name}, object {i}: the model finds nothing there" for i in lost)
    return replace(
        incoming,
        labels=labels,
        table=scan(labels, task),
        classes=Classes(names, incoming.classes.colours, ""),
        centres=(),
        given=np.union1d(incoming.given, np.array(sorted(centres), np.uint32)),
        problems=(*incoming.problems, *told),
        made_by={"outlined by": job.card.id},
    )


def prompts_of(incoming: Incoming, card: ModelCard) -> list[ObjectPrompt]:
    """A prompt for each object, by id, then one for each point; in kinds that the model takes."""
    table = incoming.table
    found = []
    for label, corners in zip(table.ids.tolist(), table.boxes.tolist(), strict=True):
        box = Box(*corners)
        takes = "box" in card.accepts
        prompt = Prompt.of_box(box) if takes else Prompt.of_points([list(box.centre)])
        found.append(ObjectPrompt(label, prompt))
    first = max(table.ids.tolist(), default=0) + 1
    clicks = (Prompt.of_points([[row, col]]) for row, col, _ in incoming.centres)
    return [*found, *(ObjectPrompt(i, click) for i, click in enumerate(clicks, start=first))]
