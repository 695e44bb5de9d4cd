"""Where a slide holds tissue that can be analysed: glass, pen marks and blur are set apart.

Found on an overview of about 4 microns a pixel. The rules for ink use that no dye of H&E or H-DAB
is as saturated as ink in the same hue, and that a mark is large. Blur is judged by how much fine
detail there is for the coarse detail: staining and contrast cancel out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.morphology import disk, remove_small_holes, remove_small_objects

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.overview import stored_pixels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.deconvolution import brightfield
from histoprompt.core.stain.look import FLUORESCENCE, doubts_of

Mask = NDArray[np.bool_]

GLASS, PEN, BLUR = "glass", "pen", "blur"
# Microns a pixel of the overview, its longest side, and what is assumed of a slide without mpp.
OVERVIEW_UM, LONGEST, ASSUMED_UM = 4.0, 4096, 0.5
# Pixels of a file that may be decoded to look for tissue around a region, about a second's worth,
# and the rim around the region that is looked at in any case.
MOST_READ, RIM_PIXELS = 2**26, 1024
# Fields of tissue that are looked at for the order of colours, and their side at `CELLS_UM`.
_FIELDS, _FIELD = 6, 256
# Microns around tissue that still belong to it, so that no nucleus at its rim is lost.
RIM_UM = 25.0
# Bounds of the optical density from which a pixel is more than glass.
_FAINT, _SURE = 0.03, 0.06
# Microns a pixel at which single cells are looked for, and the density of one.
CELLS_UM = 1.0
_SPECK_DENSITY = 0.12
# Square microns: smallest piece of tissue, largest hole that is filled, smallest mark and blur.
_SPECK, _HOLE, _MARK, _SOFT = 2_000.0, 5_000.0, 4_000.0, 40_000.0
# Microns of the window blur is judged in; fine over coarse detail below which it is blurred.
_BLUR_WINDOW, _SHARP = 160.0, 0.15
# Coarse detail (grey values) without which there is nothing to be sharp.
_TEXTURE = 1.5


@dataclass(frozen=True, eq=False)
class Tissue:
    """Which part of a slide can be analysed.

    Attributes
    ----------
    frame : Frame
        Where the masks lie: the whole slide, or what was looked at of one that is slow to read.
    tissue : (h, w) bool
        What is analysed.
    excluded : mapping of str to (h, w) bool
        What is not, by reason: ``"glass"``, ``"pen"``, ``"blur"``. With `tissue` they cover the
        slide, and no two overlap.
    mpp : float or None
        Microns a level-0 pixel.
    doubts : tuple of str
        Why the slide may be no stained tissue in bright light.
    """

    frame: Frame
    tissue: Mask
    excluded: Mapping[str, Mask]
    mpp: float | None
    doubts: tuple[str, ...] = ()

    def area_px(self, box: Box, inside: Mask | None = None) -> float:
        """Level-0 pixels of a level-0 box that are tissue (or are in another mask)."""
        mask = self.tissue if inside is None else inside
        rows, cols = (_overlap(self.frame, box, axis) for axis in (0, 1))
        return float(rows @ mask @ cols)

    def area_mm2(self, box: Box) -> float:
        """Square millimetres of a level-0 box that are tissue; NaN without a pixel size."""
        return self.area_px(box) * (self.mpp or np.nan) ** 2 / 1e6

    @property
    def analysed_mm2(self) -> float:
        """Square millimetres of tissue on the slide; NaN without a pixel size."""
        return self.area_mm2(self.frame.box)

    def shares(self, box: Box) -> dict[str, float]:
        """Share of a box that is tissue, and that each reason excludes."""
        masks = {"tissue": self.tissue, **self.excluded}
        return {name: self.area_px(box, mask) / box.area for name, mask in masks.items()}

    @cached_property
    def near(self) -> Mask:
        """(h, w) bool: tissue and a rim around it, less pen and blur."""
        px = _px(self.frame, self.mpp)
        grown = ndi.binary_dilation(self.tissue, disk(max(1, round(RIM_UM / px))))
        barred = [m for reason, m in self.excluded.items() if reason != GLASS]
        return np.asarray(grown & ~np.any(barred, axis=0) if barred else grown)

    def at(self, mask: Mask, points: ArrayLike) -> Mask:
        """Which of (n, 2) level-0 points lie in a mask of this frame."""
        index = np.rint(self.frame.to_array(points)).astype(np.int64)
        rows, cols = index.clip(0, np.array(mask.shape) - 1).T
        return np.asarray(mask[rows, cols])


def find_tissue(slide: Slide, around: Box | None = None) -> Tissue:
    """Tell tissue from glass, pen marks and blur.

    Parameters
    ----------
    slide : Slide
        Without an mpp, sizes are judged as if it were 0.5.
    around : Box, optional
        The region that is asked for. Of a slide without coarse levels, which is slow to read whole,
        only this and some of its surroundings are looked at.

    Returns
    -------
    Tissue
        Masks of about 4 um a pixel, of at most 4096 pixels a side.
    """
    seen, frame = _overview(slide, OVERVIEW_UM, around)
    image = brightfield(seen)
    px = _px(frame, slide.mpp)
    pen = _pen(image, px)
    stained = _stained(image, px)
    blur = _blurred(image, stained & ~pen, px)
    tissue = stained & ~pen & ~blur
    excluded = {GLASS: ~(stained | pen), PEN: pen, BLUR: blur}
    dark = image is not seen  # `brightfield` has asked that
    doubts = (FLUORESCENCE,) if dark else _doubts(slide, frame, tissue, seen)
    return Tissue(frame, tissue, excluded, slide.mpp, doubts)


def _doubts(slide: Slide, frame: Frame, tissue: Mask, seen: NDArray[np.uint8]) -> tuple[str, ...]:
    """Why a bright slide may be no stained tissue, by fields in which nuclei show."""
    at = np.argwhere(tissue)
    if not len(at):
        return doubts_of(seen)
    chosen = at[np.linspace(0, len(at) - 1, _FIELDS + 2).astype(int)[1:-1]]
    step = max(1.0, CELLS_UM / (slide.mpp or ASSUMED_UM))
    fields = []
    for row, col in frame.to_slide(chosen):
        box = Box.around(row, col, round(_FIELD * step)).to_pixels().shift_inside(slide.box)
        shape = tuple(max(1, round(n / step)) for n in box.shape)
        with contextlib.suppress(SlideError):  # a damaged place is met where it is counted
            fields.append(slide.read(box, (shape[0], shape[1]))[0].reshape(-1, 1, 3))
    return doubts_of(np.concatenate(fields)) if fields else ()


def holds_specks(slide: Slide) -> bool:
    """Whether anything on a slide absorbs light, be it single cells, too small to be tissue."""
    seen, _ = _overview(slide, CELLS_UM)
    return bool((_density(brightfield(seen), 2.0) > _SPECK_DENSITY).any())


def _overview(
    slide: Slide, um: float, around: Box | None = None
) -> tuple[NDArray[np.uint8], Frame]:
    """The slide at so many microns a pixel, or coarser where it is large."""
    shrink = max(1.0, um / (slide.mpp or ASSUMED_UM), max(slide.shape) / LONGEST)
    box = slide.box
    if around is not None and stored_pixels(slide, shrink) > MOST_READ:
        box = _surroundings(slide, around)
        shrink = max(1.0, um / (slide.mpp or ASSUMED_UM), max(box.shape) / LONGEST)
    shape = (max(1, round(box.shape[0] / shrink)), max(1, round(box.shape[1] / shrink)))
    return slide.read(box, shape)


def _surroundings(slide: Slide, around: Box) -> Box:
    """A region with as much around it as may be read, and always a rim."""
    side = MOST_READ**0.5
    row, col = around.centre
    grown = Box.around(row, col, max(side, around.height), max(side, around.width))
    grown = grown.union(around.pad(RIM_PIXELS)).to_pixels()
    return grown.intersection(slide.box) or around


def _density(image: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    """Optical density above the slide's own glass, of the darkest channel, smoothed."""
    white = np.maximum(np.percentile(image.reshape(-1, 3), 99, axis=0), 200.0)
    smooth = ndi.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))
    return np.asarray(np.log10((white + 1) / (smooth + 1)).max(axis=2), np.float32)


def _stained(image: NDArray[np.uint8], px: float) -> Mask:
    """What absorbs light, without specks and small holes."""
    density = _density(image, 8 / px)
    flat = float(np.ptp(density)) < 1e-6
    cut = _SURE if flat else float(np.clip(threshold_otsu(density), _FAINT, _SURE))
    return _tidied(density > cut, _SPECK / px**2, _HOLE / px**2)


def _pen(image: NDArray[np.uint8], px: float) -> Mask:
    """Ink: blue, green, red and black marks, grown a little as their rims are pale."""
    smooth = ndi.uniform_filter(image, (3, 3, 1)) if min(image.shape[:2]) >= 3 else image
    r, g, b = np.moveaxis(smooth.astype(np.int16), -1, 0)
    high, low = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    saturation = (high - low) / np.maximum(high, 1)
    blue = (g >= r - 5) & (b > g + 30) & (saturation > 0.45)
    green = (g > r + 25) & (g > b + 10) & (saturation > 0.25)
    red = (r > 140) & (abs(b - g) < 40) & (saturation > 0.75)
    black = (high < 75) & (saturation < 0.3)
    marks = remove_small_objects(blue | green | red | black, max_size=round(_MARK / px**2))
    return np.asarray(ndi.binary_dilation(marks, disk(max(1, round(20 / px)))))


def _blurred(image: NDArray[np.uint8], stained: Mask, px: float) -> Mask:
    """Stained parts with coarse but hardly any fine detail."""
    if not stained.any():
        return np.zeros_like(stained)
    grey = image.mean(axis=2, dtype=np.float32)
    window = max(3, round(_BLUR_WINDOW / px))
    fine, coarse = (_detail(grey, sigma, stained, window) for sigma in (0.7, 2.8))
    soft = (coarse > _TEXTURE**2) & (fine < _SHARP * coarse) & stained
    return np.asarray(remove_small_objects(soft, max_size=round(_SOFT / px**2)))


def _detail(
    grey: NDArray[np.float32], sigma: float, where: Mask, window: int
) -> NDArray[np.float32]:
    """Mean square of what lies between two scales, over the stained part of a window."""
    band = ndi.gaussian_filter(grey, sigma) - ndi.gaussian_filter(grey, 2 * sigma)
    inner = ndi.binary_erosion(where, iterations=max(1, round(2 * sigma)))
    energy = ndi.uniform_filter(np.where(inner, band**2, 0), window)
    weight = ndi.uniform_filter(inner.astype(np.float32), window)
    return np.asarray(energy / np.maximum(weight, 1e-3), np.float32)


def _tidied(mask: Mask, speck: float, hole: float) -> Mask:
    """Without specks, and holes filled; in a small image neither is more than a hundredth of it."""
    most = mask.size // 100
    kept = remove_small_objects(mask, max_size=min(round(speck), most))
    return np.asarray(remove_small_holes(kept, max_size=min(round(hole), most)))


def _px(frame: Frame, mpp: float | None) -> float:
    """Microns a pixel of the overview."""
    return max(frame.scale) * (mpp or ASSUMED_UM)


def _overlap(frame: Frame, box: Box, axis: int) -> NDArray[np.float64]:
    """Level-0 pixels each row (or column) of the overview shares with a box."""
    size, scale = frame.shape[axis], frame.scale[axis]
    edges = (frame.box.r0, frame.box.c0)[axis] + np.arange(size + 1) * scale
    low, high = ((box.r0, box.r1), (box.c0, box.c1))[axis]
    shared = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.asarray(np.maximum(0, shared), np.float64)
