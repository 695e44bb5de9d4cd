"""Which class each object has, and the colour of each class."""

from __future__ import annotations

import colorsys
import os
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import UNCLASSIFIED, UNSURE, CellTable
from histoprompt.core.errors import LabelError
from histoprompt.core.files.tables import TextTable, one_line, read_table, table_writer
from histoprompt.core.labels.names_of import NamesOf

Colour = tuple[int, int, int]

DEFAULT_CLASS = "nucleus"

# Hues that stay apart on pink and purple tissue and for colour-blind eyes.
_PALETTE: tuple[Colour, ...] = (
    (0, 158, 115),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (0, 0, 0),
)
# Hues beyond those: steps of the golden ratio fall farthest from all before; and in turn how
# saturated and how bright they are, as hues alone get close.
_HUE_STEP = (5**0.5 - 1) / 2
_TINTS = ((1.0, 0.75), (0.45, 1.0), (0.8, 0.45), (1.0, 1.0), (0.5, 0.7))
_GREY: Colour = (190, 190, 190)
_CALM: Colour = (86, 180, 233)
_NO_COLOURS: Mapping[str, Colour] = {}


@dataclass(frozen=True)
class Classes:
    """Classes of objects.

    Attributes
    ----------
    names : mapping of int to str
        Class of each object id.
    colours : mapping of str to (r, g, b)
        Colours that were chosen, 0 ... 255; other classes get one of a palette.
    default : str
        Class of the ids that `names` leaves out.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[str, Colour] = field(default_factory=dict)
    default: str = DEFAULT_CLASS

    def of(self, label: int) -> str:
        """The class of an object."""
        return self.names.get(label, self.default)

    def present(self, ids: NDArray[np.uint32]) -> tuple[str, ...]:
        """The classes these objects have, sorted."""
        codes, names = self.coded(ids)
        return tuple(sorted({names[code] for code in np.unique(codes).tolist()}))

    def counted(self, ids: NDArray[np.uint32]) -> dict[str, int]:
        """How many of these objects each class has."""
        codes, names = self.coded(ids)
        found = np.bincount(codes, minlength=len(names)).tolist()
        total = dict.fromkeys(names, 0)
        for name, number in zip(names, found, strict=True):
            total[name] += number
        return {name: number for name, number in total.items() if number}

    def coded(self, ids: NDArray[np.uint32]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """The number of the class of each of some objects, and the names by number."""
        codes, names = NamesOf.of(self.names).coded(ids)
        return np.where(codes < 0, len(names), codes), (*names, self.default)

    def palette(self, names: Iterable[str]) -> dict[str, Colour]:
        """A colour for each class.

        Classes of objects get theirs in the order of their first objects, after the default one,
        so that a class that comes later changes no other's; then come the other `names` in their
        order. No two classes share a colour, except where both were chosen so.
        """
        first: dict[str, int] = {}
        for label, name in self.names.items():
            first[name] = min(label, first.get(name, label))
        wanted = list(dict.fromkeys(names))
        default = (self.default,) if first else ()
        order = dict.fromkeys((*default, *sorted(first, key=first.__getitem__), *wanted))
        drawn = [name for name in order if name not in self.colours]
        free = _free_colours(frozenset(self.colours.values()))
        given = dict(zip(drawn, free, strict=False)) | dict(self.colours)
        return {name: given[name] for name in wanted}

    def check(self, ids: NDArray[np.uint32]) -> None:
        """Refuse classes of objects that are not there.

        Raises
        ------
        LabelError
            If an id of `names` is not among `ids`.
        """
        unknown = np.setdiff1d(NamesOf.of(self.names).ids, ids)
        if len(unknown):
            few = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
            raise LabelError(
                f"Classes are given for {len(unknown)} ids that are not in the labels: {few}. "
                "Remove those rows, or check that the classes belong to these labels."
            )


def _free_colours(taken: frozenset[Colour]) -> Iterator[Colour]:
    """Colours without end that nobody has: those of the palette, then others."""
    given = {*taken, _GREY}
    for colour in _all_colours():
        if colour not in given:
            given.add(colour)
            yield colour


def _all_colours() -> Iterator[Colour]:
    yield from _PALETTE
    for number in count():
        saturation, value = _TINTS[number % len(_TINTS)]
        shares = colorsys.hsv_to_rgb(number * _HUE_STEP % 1, saturation, value)
        red, green, blue = (round(255 * share) for share in shares)
        yield red, green, blue


def cell_colours(
    classes: Iterable[str],
    palette: Iterable[str] = (),
    *,
    colours: Mapping[str, Colour] = _NO_COLOURS,
) -> dict[str, Colour]:
    """A colour for each class of cells, the same wherever they are shown; unsure cells are grey.

    Parameters
    ----------
    classes : iterable of str
        Those to colour, in any order.
    palette : iterable of str
        Classes in the order colours were given out, such as `CellTable.palette`: a class keeps its
        colour whichever others come, go or are sorted before it.
    colours : mapping of str to (r, g, b)
        Colours given already, which no other class gets while there are others.
    """
    named = dict.fromkeys(n for n in (*palette, *classes) if n not in (UNSURE, UNCLASSIFIED))
    return {**Classes(colours=colours).palette(named), UNSURE: _GREY, UNCLASSIFIED: _CALM}


def colours_of(cells: CellTable, more: Iterable[str] = ()) -> dict[str, Colour]:
    """The colours of the classes of a table of cells, and of further ones."""
    return cell_colours((*cells.classes, *more), cells.palette, colours=cells.colours)


def read_classes(path: str | os.PathLike[str], default: str = DEFAULT_CLASS) -> Classes:
    """Read classes from a CSV file with the columns ``id``, ``class`` and, if wanted, ``colour``.

    Parameters
    ----------
    path : path
        UTF-8, a header line, commas or semicolons. A colour is written ``#rrggbb``.
    default : str
        Class of the ids without a row.

    Raises
    ------
    LabelError
        If a column is missing, an id is no positive whole number or comes twice, a class is empty,
        or a colour is malformed; the message names the line.
    """
    path = Path(path)
    names: dict[int, str] = {}
    colours: dict[str, Colour] = {}
    for line, row in _table(path).rows:
        where = f"{path} line {line}"
        label, name = _id(row["id"], where), one_line(row["class"], where, LabelError)
        if label in names:
            raise LabelError(f"{where}: id {label} has a class already. Keep one row.")
        if not name:
            raise LabelError(f"{where}: id {label} has no class.")
        names[label] = name
        colour = row.get("colour") or row.get("color") or ""
        if colour:
            colours[name] = _colour(colour, where)
    return Classes(names, colours, default)


def write_classes(path: Path, classes: Classes, ids: NDArray[np.uint32]) -> None:
    """Write class and colour of each object that has one, as `read_classes` reads them."""
    colours = classes.palette(classes.present(ids))
    with path.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, ("id", "class", "colour"), names=("class",))
        for label in map(int, ids):
            name = classes.of(label)
            if not name:
                continue
            write((label, name, "#{:02x}{:02x}{:02x}".format(*colours[name])))


def _table(path: Path) -> TextTable:
    """The rows of id and class, and of a colour if the file has some."""
    return read_table(path, "The classes in", LabelError, ("id", "class"), fold=True)


def _id(digits: str, where: str) -> int:
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:11]) < 2**32:
        told = reprlib.repr(digits)
        raise LabelError(f"{where}: {told} is not an id, a whole number from 1 to 4294967295.")
    return int(digits)


def _colour(text: str, where: str) -> Colour:
    digits = text.removeprefix("#")
    if len(digits) != 6 or not set(digits.lower()) <= set("0123456789abcdef"):
        raise LabelError(f"{where}: {reprlib.repr(text)} is not a colour such as #00a0ff.")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
