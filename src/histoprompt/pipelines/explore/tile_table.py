"""``tiles.csv``: the tiles of an index, a row each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import table_writer
from histoprompt.pipelines.explore.index import SlideIndex

TILES = "tiles.csv"
SLIDE = "slide"
BOX = ("row0", "col0", "row1", "col1")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table whose columns ``slide`` and ``name`` hold what people named.

    Raises
    ------
    ExportError
        If it cannot be written; the file is whole or as it was before.
    """
    with replacing_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        row = table_writer(file, columns, (SLIDE, "name"))
        for cells in rows:
            row(cells)


def write_tiles(path: Path, index: SlideIndex) -> None:
    """Write the tiles of a slide: their boxes, and how much of each is tissue, pen, blur, glass."""
    shares = [(name, values.tolist()) for name, values in index.flags.items()]
    rows = (
        (index.name, *box, *(f"{values[k]:.3f}" for _, values in shares))
        for k, box in enumerate(index.boxes.tolist())
    )
    write_rows(path, (SLIDE, *BOX, *(name for name, _ in shares)), rows)
