"""What a search leaves: ``hits.csv`` and a page of pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt import __version__
from histoprompt.core.errors import HistopromptError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.pages import page
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.tiles import read_square
from histoprompt.pipelines.explore.like import Answers
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, write_rows

HITS, GALLERY = "hits.csv", "gallery.html"
COLUMNS = (SLIDE, *BOX, "score", "rank")
# Pixels a side of a picture, and how many a page has.
PICTURE, MOST_PICTURES = 160, 200


@dataclass(frozen=True)
class Hit:
    """One answer.

    Attributes
    ----------
    row : int
        Of the index.
    slide : int
        Position of its slide in the index.
    name : str
        Of the slide.
    box : Box
    score : float
    rank : int
        From 1.
    cell : int
        Id of the cell; 0 for a tile.
    """

    row: int
    slide: int
    name: str
    box: Box
    score: float
    rank: int
    cell: int = 0


def hits_of(index: ProjectIndex, answers: Answers) -> list[Hit]:
    """The answers with their places, the best first."""
    found = []
    starts = index.starts
    of = np.searchsorted(starts, answers.rows, side="right") - 1
    for rank, (row, k, score) in enumerate(
        zip(answers.rows.tolist(), of.tolist(), answers.scores.tolist(), strict=True), start=1
    ):
        part, here = index.slides[k], row - int(starts[k])
        box = Box(*part.boxes[here].tolist())
        cell = int(part.ids[here]) if part.of_cells else 0
        found.append(Hit(row, k, part.name, box, score, rank, cell))
    return found


def write_hits(path: Path, hits: Sequence[Hit]) -> None:
    """Write ``hits.csv``: slide, row0, col0, row1, col1, score, rank. Raises `ExportError`."""
    rows = ((h.name, *(round(v) for v in h.box), f"{h.score:.5f}", h.rank) for h in hits)
    write_rows(path, COLUMNS, rows)


@dataclass(frozen=True)
class GalleryPicture:
    """A picture of the page.

    Attributes
    ----------
    picture : str
        As an address that holds it; empty if it cannot be read.
    title, text : str
    """

    picture: str
    title: str
    text: str


def write_gallery(
    path: Path,
    hits: Sequence[Hit],
    open_slide: Callable[[int], Slide],
    task: Task,
    *,
    told: Sequence[str],
    asked: Sequence[str],
) -> None:
    """Write the page of pictures.

    Parameters
    ----------
    path : Path
    hits : sequence of Hit
        The first `MOST_PICTURES` are shown.
    open_slide : callable
        Opens the slide at a position in the index; each is opened once.
    task : Task
    told : sequence of str
        What a person should know, a line each.
    asked : sequence of str
        What was looked for.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    few = hits[:MOST_PICTURES]
    facts = {
        "hits": list(shown_hits(few, open_slide, task)),
        "count": len(hits),
        "told": list(told),
        "asked": list(asked),
        "version": __version__,
    }
    replace_file(path, page(Path(__file__).parent / "templates" / "gallery.html", facts))


def shown_hits(
    hits: Sequence[Hit], open_slide: Callable[[int], Slide], task: Task
) -> Iterator[GalleryPicture]:
    """Hits as pictures; one that cannot be read is shown as such."""
    with ExitStack() as opened:
        slides: dict[int, Slide | None] = {}
        for done, hit in enumerate(hits):
            task.step(done, len(hits), "Reading pictures of the hits")
            if hit.slide not in slides:
                slides[hit.slide] = _opened(hit.slide, open_slide, opened)
            picture = picture_of(slides[hit.slide], hit.box)
            place = ",".join(f"{v:.0f}" for v in hit.box)
            title = f"{hit.rank}. {hit.name}"
            yield GalleryPicture(address_of(picture), title, f"{place} · {hit.score:.2f}")


def _opened(place: int, open_slide: Callable[[int], Slide], opened: ExitStack) -> Slide | None:
    try:
        return opened.enter_context(open_slide(place))
    except HistopromptError:
        return None


def picture_of(slide: Slide | None, box: Box, side: int = PICTURE) -> NDArray[np.uint8] | None:
    """A square around a box as (side, side, 3) uint8; None if it cannot be read."""
    if slide is None:
        return None
    row, col = box.centre
    try:
        return read_square(slide, Box.around(row, col, max(box.shape)).to_pixels(), side)
    except HistopromptError:
        return None


def address_of(picture: NDArray[np.uint8] | None) -> str:
    """A picture as an address that holds it; empty if there is none."""
    if picture is None:
        return ""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
