"""From a click or a scribble to a box, for models that take boxes only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.classical.outline import expected_boxes, outline
from histoprompt.core.classical.scene import Scene
from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import INSIDE, Prompt
from histoprompt.core.prompts.scribbles import rasterise

# Share of its longer side by which the extent of scribbles is padded on each side: people scribble
# inside the object. On 45 nuclei of the sample slide zigzags gave boxes of IoU .80 at a share of
# .05 and .85 at .2.
_MARGIN = 0.2


def propose_box(scene: Scene, prompt: Prompt) -> Box:
    """A box for what a prompt means.

    The prompt's own box if it has one; the nucleus or nuclei under positive clicks, with negative
    clicks cutting them; the extent of positive scribbles, padded a little, joined with the nucleus
    they lie on.

    Parameters
    ----------
    scene : Scene
        The image, looked at once for many prompts.
    prompt : Prompt
        In pixels of the image.

    Returns
    -------
    Box
        Integer sides, inside the image, holding every positive click and scribble that is.

    Raises
    ------
    PromptError
        If nothing positive is given.
    """
    bounds = Box.of_shape(scene.shape)
    if prompt.box is not None:
        return _inside(prompt.box, bounds)
    extent = _inside(prompt.extent(positive_only=True), bounds)
    hints = expected_boxes(scene, prompt)
    if hints:
        mask, _ = outline(scene, prompt, hints)
        found = Box.of_mask(mask)
        box = extent if found is None else found.union(extent)
    else:
        margin = max(2, round(_MARGIN * max(extent.shape)))
        box = _inside(extent.pad(margin), bounds)
        # A short scribble over pale chromatin means the nucleus around it; over something larger
        # the nucleus found is inside the scribble's extent and adds nothing.
        nucleus = _nucleus_under(scene, prompt)
        box = box if nucleus is None else box.union(nucleus)
    return _cut(box, extent, prompt.points[~prompt.labels])


def _nucleus_under(scene: Scene, prompt: Prompt) -> Box | None:
    """The nucleus at the middle of the positive scribbles, if one stands out there."""
    drawn = np.argwhere(rasterise(prompt, scene.shape) == INSIDE)
    if not len(drawn):
        return None
    middle = drawn[np.linalg.norm(drawn - drawn.mean(axis=0), axis=1).argmin()]
    mask, contrast = outline(scene, Prompt.of_points([middle]))
    return Box.of_mask(mask) if contrast > 0 else None


def _inside(box: Box, bounds: Box) -> Box:
    """The pixels of a box that lie in the bounds; the nearest ones if none does."""
    pixels = box.to_pixels()
    return pixels.intersection(bounds) or pixels.shift_inside(bounds)


def _cut(box: Box, keep: Box, points: NDArray[np.float64]) -> Box:
    """Shrink a box so that it holds no negative click, at the side where least is lost.

    A click inside `keep`, among what was said to be inside, cuts nothing.
    """
    for row, col in np.rint(points).astype(int).tolist():
        sides = [
            Box(row + 1, box.c0, box.r1, box.c1) if row + 1 < box.r1 else None,
            Box(box.r0, box.c0, row, box.c1) if row > box.r0 else None,
            Box(box.r0, col + 1, box.r1, box.c1) if col + 1 < box.c1 else None,
            Box(box.r0, box.c0, box.r1, col) if col > box.c0 else None,
        ]
        left = [side for side in sides if side is not None and side.covers(keep)]
        if box.contains(row, col) and left:
            box = max(left, key=lambda side: side.area)
    return box
