"""Where the sample slide and its ground truth lie: in the installed package or in the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import tifffile
from skimage.measure import regionprops

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask

SLIDE: Final = "slide.ome.tif"
LABELS: Final = "labels.tif"
CLASSES: Final = "classes.csv"
REGIONS: Final = "regions.tif"
REGION_NAMES: Final = "regions.json"
COHORT: Final = "cohort"
# A place with well separated nuclei, level-0 (row, col).
PLACE: Final = (1150, 900)
# Level-0 pixels: how far around a place nuclei are looked for, and of how many pixels the smallest.
_REACH, _LEAST_AREA = 160, 250

_PACKAGE = Path(__file__).resolve().parents[2]


def sample_folder() -> Path:
    """The folder that holds the sample slide, its ground truth and the script that makes them.

    Raises
    ------
    SlideError
        If neither the package nor a checkout around it holds the slide.
    """
    # A wheel carries the folder inside the package; an editable install leaves it in the checkout.
    places = (_PACKAGE / "sample_data", _PACKAGE.parents[1] / "sample_data")
    for place in places:
        if (place / SLIDE).is_file():
            return place
    raise SlideError(
        f"The sample slide {SLIDE} was not found in {places[0]} or {places[1]}. "
        "In a checkout, make it with `make sample`; else install napari-histoprompt again."
    )


def sample_file(name: str) -> Path:
    """One file of the sample folder, such as `SLIDE` or `LABELS`.

    Raises
    ------
    SlideError
        If it is not there.
    """
    path = sample_folder() / name
    if not path.is_file():
        raise SlideError(f"{path} is missing. Install napari-histoprompt again, or `make sample`.")
    return path


def nuclei_near(place: tuple[int, int], count: int) -> list[Mask]:
    """The true nuclei nearest to a level-0 place of the sample slide, apart from each other."""
    truth = tifffile.imread(sample_file(LABELS))
    region = Box.around(*place, 2 * _REACH).to_pixels().shift_inside(Box.of_shape(truth.shape))
    found: list[Mask] = []
    items = regionprops(truth[region.slices()].astype(np.int32))
    for item in sorted(items, key=lambda p: np.hypot(*(np.array(p.centroid) - _REACH))):
        box = Box(*map(int, item.bbox)).shift(region.r0, region.c0)
        apart = all(box.pad(3).intersection(other.frame.box) is None for other in found)
        if region.pad(-2).covers(box) and item.area > _LEAST_AREA and apart:
            found.append(Mask(item.image, Frame(box, item.image.shape)))
    return found[:count]
