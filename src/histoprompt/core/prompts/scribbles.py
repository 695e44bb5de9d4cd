"""Scribbles as pixels of the image a model sees."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.draw import disk, line

from histoprompt.core.geometry import Frame
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt, ScribbleMap


def rasterise(prompt: Prompt, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a prompt's scribbles, strokes and painted ones, into an array.

    Parameters
    ----------
    prompt : Prompt
        In pixels of the array.
    shape : (rows, cols)
        Of the array.

    Returns
    -------
    (rows, cols) uint8
        0 untouched, 1 inside, 2 outside. What falls off the array is left out. Where both were
        drawn, outside wins: it is the correction.
    """
    out = np.zeros(shape, np.uint8)
    radius = max(0.0, (prompt.strokes.width - 1) / 2)
    if prompt.painted is not None:
        _paste(out, prompt.painted)
    for value, lines in ((INSIDE, prompt.strokes.positive), (OUTSIDE, prompt.strokes.negative)):
        for polyline in lines:
            _draw(out, polyline, radius, value)
    return out


def _paste(out: NDArray[np.uint8], painted: ScribbleMap) -> None:
    """Resample painted scribbles into `out`; a thin line stays visible when it gets smaller."""
    whole = Frame.of_array(out)
    for value in (INSIDE, OUTSIDE):
        source = np.argwhere(painted.array == value)
        if not len(source):
            continue
        _put(out, whole.to_array(painted.frame.to_slide(source)), value)
    if max(painted.frame.scale) > 1:  # painted coarser than the array: fill what lies between
        points = np.indices(out.shape).reshape(2, -1).T
        index = np.rint(painted.frame.to_array(points)).astype(int)
        inside = ((index >= 0) & (index < painted.array.shape)).all(axis=1)
        values = painted.array[tuple(index[inside].T)]
        flat = out.reshape(-1)
        flat[inside] = np.where(values > 0, values, flat[inside])


def _draw(out: NDArray[np.uint8], points: NDArray[np.float64], radius: float, value: int) -> None:
    corners = np.rint(points).astype(int)
    for (r0, c0), (r1, c1) in pairwise(corners):
        _put(out, np.stack(line(r0, c0, r1, c1), axis=1), value)
    if len(corners) == 1:
        _put(out, corners, value)
    if radius >= 1:
        for r, c in np.argwhere(out == value):
            out[disk((r, c), radius + 0.5, shape=out.shape)] = value


def _put(out: NDArray[np.uint8], points: NDArray[np.generic], value: int) -> None:
    index = np.rint(points.astype(float)).astype(int)
    inside = ((index >= 0) & (index < out.shape)).all(axis=1)
    out[tuple(index[inside].T)] = value
