"""Marks of tiles: which class a person said a tile, or a box of the slide, is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.files.tables import one_line, read_table
from histoprompt.core.readers.naming import result_name
from histoprompt.core.strings.names import guarded
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.explore.tile_table import BOX, SLIDE, write_rows

CLASS = "class"
_POINT = ("row", "col")


@dataclass(frozen=True)
class TileMark:
    """What a person said of a place.

    Attributes
    ----------
    slide : str
        Its name or path; empty where there is one slide.
    box : (row0, col0, row1, col1)
        Level-0 pixels, half open; a point has one pixel.
    name : str
        The class.
    where : str
        The line of the file, for messages.
    """

    slide: str
    box: tuple[float, float, float, float]
    name: str
    where: str = ""


def read_marks(path: Path) -> tuple[TileMark, ...]:
    """Read ``marks.csv``: slide, then row0,col0,row1,col1 or row,col, then class.

    Parameters
    ----------
    path : Path
        UTF-8 with a header; level-0 pixels. ``slide`` may be left out where there is one slide.

    Raises
    ------
    LabelError
        If it cannot be read, a column is missing, it is empty, or a line makes no sense.
    """
    table = read_table(path, "The marks in", LabelError, (CLASS,), fold=True)
    columns = BOX if set(BOX) <= set(table.columns) else _POINT
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise LabelError(
            f"{path} says of no place: it needs the columns {', '.join(BOX)}, or row and col, in "
            "level-0 pixels."
        )
    found = []
    for line, row in table.rows:
        where = f"{path} line {line}"
        name = one_line(row[CLASS], where, LabelError)
        if not name:
            raise LabelError(f"{where} has no class.")
        slide = one_line(row.get(SLIDE, ""), where, LabelError)
        found.append(TileMark(slide, _box(row, columns, where), name, where))
    if not found:
        raise LabelError(f"{path} has no marks. Mark some tiles of each class.")
    return tuple(found)


def write_marks(path: Path, marks: Iterable[TileMark]) -> None:
    """Write marks as `read_marks` reads them.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    rows = ((m.slide, *(f"{v:g}" for v in m.box), guarded(m.name)) for m in marks)
    write_rows(path, (SLIDE, *BOX, CLASS), rows)


@dataclass(frozen=True)
class MarkedSlide:
    """A slide that marks may lie on.

    Attributes
    ----------
    key, name, path : str
        `Slide.key`; the name for people; where the file is.
    """

    key: str
    name: str
    path: str = ""

    def means(self, said: str, folder: Path) -> bool:
        """Whether a table in a folder means this slide."""
        if said in (self.key, self.name, self.path):
            return True
        whole = str(Path(self.path).absolute()) if self.path else ""
        if whole and whole in (str(Path(said).absolute()), str((folder / said).absolute())):
            return True
        return result_name(said) in (self.name, result_name(self.path) if self.path else "")


def on_places(
    marks: Sequence[TileMark], places: Sequence[MarkedSlide], folder: Path, here: str
) -> tuple[tuple[TileMark, ...], int]:
    """Marks with the keys of their slides, and how many lie on none of these.

    Parameters
    ----------
    marks : sequence of TileMark
    places : sequence of MarkedSlide
    folder : Path
        Of the table: paths in it may begin there.
    here : str
        The key of the slide that marks without one lie on.
    """
    found = []
    for mark in marks:
        key = here if not mark.slide else next(
            (one.key for one in places if one.means(mark.slide, folder)), ""
        )  # fmt: skip
        if key:
            found.append(replace(mark, slide=key))
    return tuple(found), len(marks) - len(found)


def _box(
    row: Mapping[str, str], columns: Sequence[str], where: str
) -> tuple[float, float, float, float]:
    try:
        values = [float(row[name]) for name in columns]
    except ValueError as error:
        raise LabelError(f"{where}: {', '.join(columns)} are numbers in level-0 pixels.") from error
    if len(values) == len(_POINT):
        values = [*values, values[0] + 1, values[1] + 1]
    r0, c0, r1, c1 = values
    if not all(abs(v) < 2**31 for v in values) or r1 <= r0 or c1 <= c0:
        raise LabelError(f"{where}: {', '.join(row[n] for n in columns)} is no place on a slide.")
    return r0, c0, r1, c1


def marked_tiles(
    marks: Sequence[TileMark], tiles: TileSet, slide_of: Callable[[TileMark], int | None]
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Classes by tile, and what could not be used, a sentence each.

    A box marks the tiles that have their middle in it, and where there are none the tile that holds
    its own middle, as a point does. A later mark of a tile replaces an earlier one.

    Parameters
    ----------
    marks : sequence of TileMark
    tiles : TileSet
    slide_of : callable
        The number of the slide of a mark; None if it is not there.

    Raises
    ------
    LabelError
        If no mark lies on a tile.
    """
    labels: dict[int, str] = {}
    lost = []
    for mark in marks:
        number = slide_of(mark)
        rows = _rows(mark, tiles, number) if number is not None else np.zeros(0, np.intp)
        if not len(rows):
            lost.append(mark)
        for row in rows.tolist():
            labels.pop(row, None)
            labels[row] = mark.name
    if not labels:
        raise LabelError(
            f"None of {len(marks):,} marks lies on a tile of tissue. Places are level-0 pixels, "
            "row before column."
        )
    told: tuple[str, ...] = ()
    if lost:
        told = (
            f"{len(lost):,} of {len(marks):,} marks lie on no tile of tissue and were left out, "
            f"such as {lost[0].where or lost[0].box}.",
        )
    return labels, told


def _rows(mark: TileMark, tiles: TileSet, number: int) -> NDArray[np.intp]:
    of = tiles.rows_of(number)
    at = tiles.centres[of]
    low, high = np.array(mark.box[:2]), np.array(mark.box[2:])
    inside = ((at >= low - 0.5) & (at < high - 0.5)).all(axis=1)
    if inside.any():
        return np.asarray(of[inside], np.intp)
    row, col = (low + high - 1) / 2
    found = tiles.holding(number, float(row), float(col))
    return np.array([] if found is None else [found], np.intp)
