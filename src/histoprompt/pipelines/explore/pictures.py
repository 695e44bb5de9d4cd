"""Small pictures and colours of tiles, read from their slides."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.tiles import read_square
from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet

# Sides of the square around a cell that is shown, in sides of the cell.
_AROUND = 3

Opener = Callable[[TiledSlide], AbstractContextManager[Slide]]
Picture = NDArray[np.uint8]


def pictures_of(
    tiles: TileSet, rows: Sequence[int] | NDArray[np.intp], pixels: int, opener: Opener, task: Task
) -> dict[int, Picture]:
    """Pictures (pixels, pixels, 3) of some tiles, or of cells with what is around them, by row.

    Each slide is opened once.

    Raises
    ------
    SlideError
        If a slide cannot be read.
    Cancelled
        If the task is cancelled.
    """
    wanted = np.unique(np.asarray(rows, np.intp))
    found: dict[int, Picture] = {}
    for number in np.unique(tiles.slide[wanted]):
        with opener(tiles.slides[number]) as slide:
            for row in wanted[tiles.slide[wanted] == number].tolist():
                task.step(len(found), len(wanted), "Reading pictures of tiles")
                found[row] = read_square(slide, _shown(tiles, row), pixels)
    return found


def _shown(tiles: TileSet, row: int) -> Box:
    """What is shown of a tile or a cell."""
    box = Box(*tiles.boxes[row].tolist())
    if not tiles.of_cells:
        return box
    return Box.around(*box.centre, _AROUND * max(box.shape)).to_pixels()


def spread_out(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of `count` rows, evenly spread."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.intp))


def as_address(picture: Picture) -> str:
    """A picture as a ``data:`` address for a page."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def in_groups(rows: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    """Rows, so many at a time."""
    return (rows[i : i + size] for i in range(0, len(rows), size))
