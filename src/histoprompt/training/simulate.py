"""People made up: what they begin with, and corrections where a mask is wrong.

Regions and maps are (h, w) bool; positions are (row, col).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage as ndi

from histoprompt.models.networks.prompt_maps import RasterPrompt
from histoprompt.pipelines.evaluate.simulate import (
    Region,
    Rng,
    centre_click,
    click,
    jittered_box,
    random_click,
    scribble,
)


def first_prompt(target: Region, around: Region, rng: Rng) -> RasterPrompt:
    """What a person may begin with: one click (a third), else any mix of prompts.

    Parameters
    ----------
    target : (h, w) bool
        Not empty.
    around : (h, w) bool
        Where clicks outside the object may fall.
    """
    said = RasterPrompt(np.zeros((2, *target.shape), bool))
    if rng.random() < 0.35:
        return said.clicked(click(target, rng), inside=True)
    use = rng.random(3) < (0.6, 0.4, 0.4)
    if not use.any():
        use[rng.integers(3)] = True
    if use[0]:
        said = replace(said, box=jittered_box(target, rng, rng.uniform(0.5, 3)))
    if use[1]:
        said = _with_clicks(said, target, around, rng)
    if use[2]:
        said = said.scribbled(scribble(target, rng), inside=True)
        if around.any() and rng.random() < 0.3:
            said = said.scribbled(scribble(around, rng), inside=False)
    return said


def _with_clicks(said: RasterPrompt, target: Region, around: Region, rng: Rng) -> RasterPrompt:
    for _ in range(int(rng.integers(1, 4))):
        said = said.clicked(click(target, rng), inside=True)
    if around.any():
        for _ in range(int(rng.integers(0, 3))):
            said = said.clicked(click(around, rng), inside=False)
    return said


def corrected(
    said: RasterPrompt, mask: Region, target: Region, known: Region, rng: Rng
) -> RasterPrompt:
    """One more click or scribble in the error that takes more pixels."""
    missed, extra = target & ~mask & known, mask & ~target & known
    inside = bool(missed.sum() >= extra.sum())
    wrong = missed if inside else extra
    if not wrong.any():
        return said
    parts, _ = ndi.label(wrong)
    largest = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    if rng.random() < 0.75:
        at = (centre_click if rng.random() < 0.6 else random_click)(largest, rng)
        return said.clicked(at, inside)
    return said.scribbled(scribble(largest, rng), inside)
