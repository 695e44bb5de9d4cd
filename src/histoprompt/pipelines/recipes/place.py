"""Where on a slide a step works: four numbers in its parameters."""

from __future__ import annotations

from histoprompt.core.errors import ParameterError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter
from histoprompt.core.slides.slide import Slide

REGION = Parameter("Region", "Only this part of each slide: r0,c0,r1,c1.")
_CORNERS = 4


def check_region(region: tuple[int, ...]) -> None:
    """Refuse what is no region.

    Parameters
    ----------
    region : tuple of int
        r0, c0, r1, c1 in level-0 pixels, half open; all of a slide if empty.

    Raises
    ------
    ParameterError
    """
    if not region:
        return
    if len(region) != _CORNERS or region[0] >= region[2] or region[1] >= region[3]:
        raise ParameterError(
            f"Region is {region}; it must be four numbers: top, left, bottom, right."
        )


def region_box(region: tuple[int, ...], slide: Slide) -> Box | None:
    """The box of four numbers, None for none.

    Raises
    ------
    RegionError
        If it reaches outside the slide.
    """
    if not region:
        return None
    box = Box(*region)
    if not slide.box.covers(box):
        raise RegionError(
            f"The region {','.join(map(str, region))} reaches outside the slide, which has "
            f"{slide.shape[0]} rows and {slide.shape[1]} columns."
        )
    return box
