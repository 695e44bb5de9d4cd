"""Taking a committed object up again: its mask becomes the answer that more prompts correct."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histoprompt.core.geometry import Frame
from histoprompt.core.labels.reshape import depth
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.results import Mask
from histoprompt.models.card import ModelCard


def standing_for(mask: Mask, card: ModelCard | None) -> Prompt:
    """The prompts that stand for an object nobody remembers the prompts of.

    A click where it is deepest; and the box around it, for a model that is not shown its mask.

    Parameters
    ----------
    mask : Mask
        The object, level-0 pixels, not empty.
    card : ModelCard or None
        The model that is to correct it.

    Returns
    -------
    Prompt
        Level-0 pixels, of kinds the model takes.
    """
    tight = mask.cropped()
    accepts = frozenset({"point"}) if card is None else card.accepts
    corrects = card is not None and card.corrects
    clicks = "point" in accepts
    box = tight.frame.box if "box" in accepts and not (corrects and clicks) else None
    if not clicks:
        return Prompt(box=box)
    deepest = np.unravel_index(int(np.argmax(depth(tight.array))), tight.array.shape)
    return replace(Prompt.of_points(tight.frame.to_slide([deepest])), box=box)


def refining(item: ObjectPrompt, start: Mask) -> ObjectPrompt:
    """The prompt of an object that is taken up again, with what is to be corrected.

    Parameters
    ----------
    item : ObjectPrompt
        As `segment.continued` gives it: with the answer before, if there is one.
    start : Mask
        The object as it was committed.
    """
    if item.prompt.previous is not None:
        return item
    return replace(item, prompt=replace(item.prompt, previous=start))


def note_of(card: ModelCard | None, *, remembered: bool) -> str:
    """What a person should know of how a model is shown an object that is taken up again."""
    if card is None or card.corrects:
        return ""
    told = "its own prompts" if remembered else "a box and a click in its place"
    if "point" not in card.accepts:
        told = "its own prompts" if remembered else "a box in its place"
    return f"{card.title} cannot be shown an outline: it gets {told}."


def repainted(mask: Mask, painted: Mask, area: Frame) -> Mask:
    """A mask of which the part inside a work area was painted anew.

    Parameters
    ----------
    mask : Mask
        The whole object, level-0 pixels.
    painted : Mask
        What was painted, level-0 pixels; all of the object inside `area`.
    area : Frame
        The work area.
    """
    both = mask.frame.box.union(painted.frame.box).to_pixels()
    frame = Frame(both, both.shape)
    out = mask.sample(frame)
    inner = area.box.to_pixels().intersection(both)
    if inner is not None:
        out[inner.slices((both.r0, both.c0))] = False
    return Mask(out | painted.sample(frame), frame).cropped()
