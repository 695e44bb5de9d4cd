"""The columns of a table of cells, each told of once.

Tables on disk (CSV, Parquet, the records of a count), measurements in QuPath, the table in the
window and the documentation read this list. What a `CellTable` holds beside it are its features:
numbers measured from pixels, which are listed where they are measured (`pipelines/cells/features`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
        In files and in code.
    dtype : str
        Of the numbers kept, as numpy spells it; of a class it is that of its code.
    help : str
        What it says of a cell, in a sentence.
    header : str
        In words, for a table's head; the name with spaces if empty.
    unit : str
    decimals : int or None
        Digits behind the point in files of text; all if None.
    shown : str
        How the window writes a value.
    measurement : str
        Its key among the measurements of a cell in QuPath; empty if it is none.
    attribute : str
        Of `CellTable` and of a record; the name if empty.
    empty : float
        What cells have where nobody said otherwise.
    place : int
        Where the window's table shows it, from the left; files have the order of `COLUMNS`.
    """

    name: str
    dtype: str
    help: str
    header: str = ""
    unit: str = ""
    decimals: int | None = None
    shown: str = "{:.4g}"
    measurement: str = ""
    attribute: str = ""
    empty: float = float("nan")
    place: int = 99

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", self.header or self.name.replace("_", " "))
        object.__setattr__(self, "attribute", self.attribute or self.name)

    @property
    def says(self) -> str:
        """What it says of a cell, with its unit."""
        return f"{self.help}, {self.unit}" if self.unit else self.help

    def text(self, value: float) -> str:
        """A value as the window writes it; empty for what is not known."""
        return "" if np.isnan(value) else self.shown.format(value)


ID: Final = Column(
    "id", "<i8", "the cell's value in the label image, from 1", shown="{:d}", place=0
)
ROW: Final = Column(
    "row", "<f8", "centroid, from the top", unit="level-0 pixels", decimals=2, shown="{:.1f}",
    place=4,
)  # fmt: skip
COL: Final = Column(
    "col", "<f8", "centroid, from the left", unit="level-0 pixels", decimals=2, shown="{:.1f}",
    place=5,
)  # fmt: skip
AREA: Final = Column(
    "area_um2", "<f8", "area of the whole cell", header="area µm²", unit="µm²", decimals=3,
    shown="{:.1f}", measurement="Area µm^2", place=3,
)  # fmt: skip
CLASS: Final = Column(
    "class", "<i2", "name of its class; empty if nobody has classified it", attribute="code",
    empty=0, place=1,
)  # fmt: skip
SCORE: Final = Column(
    "score", "<f4", "how sure the class is, 0 to 1; nan if nothing says", decimals=4,
    shown="{:.2f}", measurement="Class score", place=2,
)  # fmt: skip

COLUMNS: Final = (ID, ROW, COL, AREA, CLASS, SCORE)
"""All columns, in the order of files. Whoever changes it raises `ALGORITHM` of the count store."""

BY_HAND: Final = "by_hand"
"""Of files of a count that was corrected: 1 for cells that a person made, 0 for those found. It is
no measurement, and nothing learns from it."""

PLACE_COLUMNS: Final = (ID, ROW, COL, AREA)
"""What every table of cells has; other programs may leave out the rest."""

SHOWN: Final = tuple(sorted(COLUMNS, key=lambda column: column.place))
"""In the order of the window's table."""

OPTIONAL_COLUMNS: Final = tuple(column for column in COLUMNS if column not in PLACE_COLUMNS)
"""What cells may lack; they have `Column.empty` then."""

PER_CELL: Final = (*(column.attribute for column in COLUMNS), "features")
"""Attributes of `CellTable` that hold a row a cell."""


INTENSITIES: Final = {
    "_intensity_mean": "mean value in the channel",
    "_intensity_max": "highest value in the channel",
    "_intensity_std": "standard deviation of the values in the channel",
}
"""How columns of a channel of fluorescence end, and what they say of a cell."""


def intensity_names(channels: Iterable[str]) -> tuple[str, ...]:
    """The columns of channels, in their order: ``DAPI_intensity_mean`` and so on."""
    return tuple(f"{channel}{ending}" for channel in channels for ending in INTENSITIES)


def is_intensity(name: str) -> bool:
    """Whether a feature is the brightness of a cell in a channel."""
    return name.endswith(tuple(INTENSITIES))


def column_of(name: str) -> Column:
    """The column of this name: one of `COLUMNS`, else that of a feature."""
    for column in COLUMNS:
        if column.name == name:
            return column
    for ending, says in INTENSITIES.items():
        if name.endswith(ending):
            channel = name.removesuffix(ending)
            header = f"{channel} {ending.rpartition('_')[2]}"
            return Column(name, "<f4", f"{says} {channel}", header, "values of the file")
    return Column(name, "<f4", "measured from the pixels")
