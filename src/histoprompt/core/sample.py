"""Where the sample slide and its ground truth lie: in the installed package or in the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from histoprompt.core.errors import SlideError

SLIDE: Final = "slide.ome.tif"
LABELS: Final = "labels.tif"
CLASSES: Final = "classes.csv"
REGIONS: Final = "regions.tif"
REGION_NAMES: Final = "regions.json"

_PACKAGE = Path(__file__).resolve().parents[1]


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
