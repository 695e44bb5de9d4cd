"""The object a prompt means, from the colours of the pixels alone.

What is surely inside and surely outside teaches a linear discriminant of the colours; where the
object is likely to be (an ellipse in a box, a nucleus under a click) adds its weight; scribbles
and corrections are spread over the image without crossing its edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.morphology import disk
from skimage.transform import resize

from histoprompt.core.classical.random_walk import spread
from histoprompt.core.classical.scene import Scene
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.prompts.prompt import INSIDE, OUTSIDE, Prompt
from histoprompt.core.prompts.scribbles import rasterise

# Longest side of the window an object is outlined in; larger objects are looked at coarser.
_WINDOW = 112
# Rounds of learning the colours anew from the last outline.
_ROUNDS = 3
# Log-odds lost from the middle to the rim of the ellipse in which an object is expected.
_PRIOR = 2.5
# Bound on the log-odds that colour alone can give.
_COLOUR_LIMIT = 4.0
# Share of a scribble that must lie on one nucleus for the scribble to mean that nucleus.
_MOSTLY = 0.8
# Weights against that of one edge when beliefs are spread: what was said, and what was guessed.
_SAID, _GUESSED = 50.0, 0.1


@dataclass(frozen=True, eq=False)
class _View:
    """The part of a scene in which an object is outlined.

    Attributes
    ----------
    frame : Frame
        Where the view lies on the image.
    features : (h, w, k) float32
        Colours, and texture where no ellipse is known.
    seeds : (h, w) uint8
        0 unknown, 1 said to be inside, 2 said to be outside.
    rho : (h, w) float64
        Distance from the expected object: 1 on its rim.
    elliptic : bool
        Whether the object is expected to fill ellipses, rather than where scribbles lead.
    size : float
        Longest side of what the prompt spans, in pixels of the view.
    """

    frame: Frame
    features: NDArray[np.float32]
    seeds: NDArray[np.uint8]
    rho: NDArray[np.float64]
    elliptic: bool
    size: float


def outline(
    scene: Scene, prompt: Prompt, hints: list[Box] | None = None
) -> tuple[NDArray[np.bool_], float]:
    """Outline the object a prompt means.

    Parameters
    ----------
    scene : Scene
        What is known of the image.
    prompt : Prompt
        In pixels of the image: clicks, a box, scribbles, in any mix.
    hints : list of Box, optional
        What `expected_boxes` says of it, where the caller has asked already.

    Returns
    -------
    mask : (h, w) bool
        Holds every positive click and scribble and no negative one; empty for a prompt that says
        nowhere where the object is.
    contrast : float
        How well the colours inside and just outside differ: 0 not at all, 1 wholly.
    """
    if not prompt.is_positive:
        return np.zeros(scene.shape, bool), 0.0
    view = _look(scene, prompt, expected_boxes(scene, prompt) if hints is None else hints)
    colour, belief = _believe(view)
    if _is_contradicted(view, belief):
        belief = _heed(view, colour, belief)
    mask = _component(view, belief)
    whole = _insist(_paste(mask, belief, view, scene.shape), prompt)
    return whole, _contrast(colour, mask)


def expected_boxes(scene: Scene, prompt: Prompt) -> list[Box]:
    """Boxes whose ellipses the object should fill; none for a scribble over several things.

    The prompt's own box; else the nucleus most of the positive scribbles lie on; else the nuclei
    under the positive clicks.
    """
    if prompt.box is not None:
        return [prompt.box]
    drawn = rasterise(prompt, scene.shape) == INSIDE
    if drawn.any():
        values, counts = np.unique(scene.nuclei[drawn], return_counts=True)
        best = int(counts.argmax())
        if values[best] == 0 or counts[best] < _MOSTLY * counts.sum():
            return []
        row, col = np.argwhere(drawn & (scene.nuclei == values[best]))[0]
        nucleus = scene.nucleus_at(row, col)
        return [nucleus.union(Box.of_points(np.argwhere(drawn)))]
    return [scene.nucleus_at(row, col) for row, col in prompt.points[prompt.labels]]


def _look(scene: Scene, prompt: Prompt, hints: list[Box]) -> _View:
    """Cut out the surroundings of what the prompt spans, no finer than needed."""
    extent = union_of([*hints, prompt.extent(positive_only=True)])
    longest = max(extent.height, extent.width)
    bounds = Box.of_shape(scene.shape)
    margin = max(6.0, (0.35 if hints else 0.6) * longest)
    window = extent.shift_inside(bounds).pad(margin).to_pixels().intersection(bounds) or bounds
    stride = -(-max(window.shape) // _WINDOW)
    density = _reduce(scene.density[window.slices()], stride)
    shape = density.shape[0], density.shape[1]
    r0, c0 = window.r0, window.c0
    frame = Frame(Box(r0, c0, r0 + shape[0] * stride, c0 + shape[1] * stride), shape)
    size = longest / stride
    if hints:
        rho = np.min([_ellipse(frame.box_to_array(h), shape) for h in hints], axis=0)
        features = density
    else:
        rho = 1 + _distance(frame.box_to_array(extent), shape) / (0.3 * size + 1)
        features = _with_texture(density, max(1.0, size / 24))
    return _View(frame, features, _seeds(prompt.into(frame), shape), rho, bool(hints), size)


def _reduce(density: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Mean of blocks of `stride` pixels; the last ones repeat the border."""
    if stride == 1:
        return density
    rows, cols = (-n % stride for n in density.shape[:2])
    full = np.pad(density, ((0, rows), (0, cols), (0, 0)), mode="edge")
    h, w = full.shape[0] // stride, full.shape[1] // stride
    blocks = full.reshape(h, stride, w, stride, full.shape[2])
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _with_texture(density: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Colours, colours of the neighbourhood, and how much the darkness varies in it."""
    around = ndi.gaussian_filter(density, (sigma, sigma, 0))
    dark = density.mean(axis=2)
    spread_ = ndi.gaussian_filter(dark**2, sigma) - ndi.gaussian_filter(dark, sigma) ** 2
    varies = np.sqrt(np.maximum(spread_, 0))[..., None]
    return np.concatenate([density, around, varies], axis=2)


def _seeds(prompt: Prompt, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """What was said, as pixels: scribbles, and clicks as small discs."""
    seeds = rasterise(prompt, shape)
    for reach in (1, 0):  # the pixel that was clicked counts more than its neighbours
        for positive, value in ((True, INSIDE), (False, OUTSIDE)):
            for r, c in np.rint(prompt.points[prompt.labels == positive]).astype(int):
                rows = slice(max(0, r - reach), max(0, r + reach + 1))
                cols = slice(max(0, c - reach), max(0, c + reach + 1))
                seeds[rows, cols] = value
    return seeds


def _ellipse(box: Box, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Distance from the centre of the ellipse inscribed in a box, 1 on the ellipse."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    r, c = box.centre
    return np.hypot((rows - r) / (box.height / 2), (cols - c) / (box.width / 2))


def _distance(box: Box, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Distance in pixels from a box, 0 inside."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    down = np.maximum(0, np.maximum(box.r0 - rows, rows - box.r1 + 1))
    right = np.maximum(0, np.maximum(box.c0 - cols, cols - box.c1 + 1))
    return np.hypot(down, right)


def _believe(view: _View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-odds by colour, and belief in [0, 1] by colour and place, per pixel of a view."""
    inside, outside = _sure(view)
    prior = _PRIOR * (1 - view.rho)
    colour = np.zeros(view.rho.shape)
    belief = _sigmoid(prior)
    for _ in range(_ROUNDS if view.elliptic else 1):
        if inside.sum() < 3 or outside.sum() < 3:
            break
        colour = _discriminate(view.features, inside, outside)
        belief = _sigmoid(ndi.gaussian_filter(colour, 0.5) + prior)
        inside, outside = belief * (view.rho < 1.1), (1 - belief) * (view.rho > 0.5)
    return colour, belief


def _sure(view: _View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the pixels that are surely inside and surely outside."""
    inside, outside = view.seeds == INSIDE, view.seeds == OUTSIDE
    if view.elliptic:
        inside, outside = inside | ((view.rho < 0.6) & ~outside), outside | (view.rho > 1.15)
    elif outside.sum() < 10:
        outside = outside | (view.rho > 1.6)
    return inside.astype(float), outside.astype(float)


def _discriminate(
    features: NDArray[np.float32], inside: NDArray[np.float64], outside: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-odds by Fisher's linear discriminant with a shrunken covariance, bounded."""
    flat = features.reshape(-1, features.shape[-1]).astype(float)
    mean_in, cov_in = _moments(flat, inside.ravel())
    mean_out, cov_out = _moments(flat, outside.ravel())
    pooled = (cov_in + cov_out) / 2
    k = len(pooled)
    pooled += np.eye(k) * (0.1 * np.trace(pooled) / k + 1e-6)
    normal = np.linalg.solve(pooled, mean_in - mean_out)
    odds = flat @ normal - (mean_in + mean_out) @ normal / 2
    bounded: NDArray[np.float64] = np.clip(odds, -_COLOUR_LIMIT, _COLOUR_LIMIT)
    return bounded.reshape(inside.shape)


def _moments(
    flat: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    share = weights / weights.sum()
    mean = share @ flat
    centred = flat - mean
    return mean, (centred * share[:, None]).T @ centred


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-odds))


def _is_contradicted(view: _View, belief: NDArray[np.float64]) -> bool:
    """Whether something was said that the belief does not agree with already."""
    if not view.elliptic or (view.seeds == OUTSIDE).any():
        return True
    return bool((belief[view.seeds == INSIDE] <= 0.5).any())


def _heed(
    view: _View, colour: NDArray[np.float64], belief: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Let what was said overrule what was guessed, as far as no edge lies between."""
    inside, outside = view.seeds == INSIDE, view.seeds == OUTSIDE
    if view.elliptic and outside.any():
        # A correction owns what is nearer to it than to anything inside, within reach.
        core = inside if inside.any() else (view.rho < 0.3) & ~outside
        near, far = (ndi.distance_transform_edt(~m) for m in (outside, core))
        belief = np.where((near < far) & (near < 0.35 * view.size), 0.05, belief)
    belief = np.where(inside, 1.0, np.where(outside, 0.0, belief))
    trust = np.where(view.seeds > 0, _SAID, _GUESSED)
    return spread(colour.astype(np.float32), belief, trust)


def _component(view: _View, belief: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The connected parts that what was said lies on; else the one most believed in."""
    seeds, mask = view.seeds == INSIDE, belief > 0.5
    opened = ndi.binary_opening(mask) | (mask & seeds)
    labels, count = ndi.label(opened)
    if count > 1:
        said = np.unique(labels[seeds & opened])
        weight = ndi.sum(belief * (view.rho < 1.2), labels, np.arange(1, count + 1))
        keep = said if said.any() else np.array([1 + int(np.argmax(weight))])
        opened = np.isin(labels, keep[keep > 0])
    filled: NDArray[np.bool_] = ndi.binary_fill_holes(opened)
    kept: NDArray[np.bool_] = filled & (view.seeds != OUTSIDE)
    return kept


def _paste(
    mask: NDArray[np.bool_],
    belief: NDArray[np.float64],
    view: _View,
    shape: tuple[int, int],
) -> NDArray[np.bool_]:
    """The mask of a view on the whole image; a coarse one gets a smooth border."""
    whole = np.zeros(shape, bool)
    found = mask
    if view.frame.box.shape != view.frame.shape:
        smooth = np.where(mask, np.maximum(belief, 0.51), np.minimum(belief, 0.49))
        found = resize(smooth, view.frame.box.shape, order=1) > 0.5
    r, c = view.frame.box.slices()
    target = whole[r, c]
    target[:] = found[: target.shape[0], : target.shape[1]]
    return whole


def _insist(mask: NDArray[np.bool_], prompt: Prompt) -> NDArray[np.bool_]:
    """Hold what was said to the pixel: nothing out of the box, clicks and scribbles as given."""
    shape = mask.shape[0], mask.shape[1]
    if prompt.box is not None:
        frame = prompt.box.pad(1).to_pixels().intersection(Box.of_shape(shape))
        allowed = np.zeros(shape, bool)
        if frame is not None:
            allowed[frame.slices()] = True
        mask &= allowed
    said = _seeds(prompt.without("box"), shape)
    kept: NDArray[np.bool_] = (mask | (said == INSIDE)) & (said != OUTSIDE)
    return kept


def _contrast(colour: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """Difference of the log-odds by colour in and just outside a mask against their spread."""
    rim = ndi.binary_dilation(mask, disk(3)) & ~mask
    if not mask.any() or not rim.any():
        return 0.0
    inner, outer = colour[mask], colour[rim]
    gap = max(0.0, float(inner.mean() - outer.mean()))
    return gap / (gap + float(inner.std() + outer.std()) + 1e-6)
