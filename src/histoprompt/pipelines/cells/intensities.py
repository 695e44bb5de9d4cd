"""How bright each cell is in each channel of fluorescence, in the values of the file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_schema import intensity_names
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Channel, Slide
from histoprompt.pipelines.cells.features import FEATURE_NAMES

# Raise it when the same cell gets other numbers: counts in fluorescence do not go on then.
ALGORITHM: Final = 1


def intensity_columns(slide: Slide) -> tuple[str, ...]:
    """Names of what `intensities` measures on a slide; none of a picture in colours."""
    return intensity_names(channel.name for channel in slide.channels)


def measured_names(slide: Slide) -> tuple[str, ...]:
    """Names of all that is measured of a cell from the pixels of a slide."""
    return (*FEATURE_NAMES, *intensity_columns(slide))


def intensities(
    channels: Iterable[Channel], labels: NDArray[np.int32], box: Box, count: int
) -> NDArray[np.float32]:
    """Measure every cell in every channel, at full resolution.

    Parameters
    ----------
    channels : iterable of Channel
    labels : (h, w) int32
        0 background, cells 1 ... count, in level-0 pixels.
    box : Box
        Where they lie, level-0 pixels on the slide.
    count : int

    Returns
    -------
    (count, 3 * channels) float32
        Mean, maximum and standard deviation (of the population) of each channel in turn, in the
        values of the file; NaN for a cell without pixels.
    """
    inside = labels > 0
    index = labels[inside] - 1
    columns: list[NDArray[np.float64]] = []
    for channel in channels:
        values = np.asarray(channel.levels[0][box.slices()])[inside].astype(np.float64)
        columns += _measured(values, index, count)
    if not columns:
        return np.zeros((count, 0), np.float32)
    return np.stack(columns, axis=1).astype(np.float32)


def _measured(
    values: NDArray[np.float64], index: NDArray[np.int32], count: int
) -> list[NDArray[np.float64]]:
    pixels = np.bincount(index, minlength=count).astype(np.float64)
    pixels[pixels == 0] = np.nan
    mean = np.bincount(index, weights=values, minlength=count) / pixels
    square = np.bincount(index, weights=(values - mean[index]) ** 2, minlength=count)
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, index, values)
    highest[np.isnan(pixels)] = np.nan
    return [mean, highest, np.sqrt(square / pixels)]
