"""The journal of an unfinished count, read with doubt: a line for each tile that is done.

What the first damaged line says, and all after it, is not believed: those tiles are counted again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.documents import MANY_BYTES, Corners, Count, Shape, parse_json, read_bytes
from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box


class TileLine(TypedDict):
    """What is written when a tile is done."""

    tile: Annotated[list[Count], Field(min_length=2, max_length=2)]
    cells: Count
    box: Corners | None
    head: NotRequired[Annotated[list[list[str]], Field(min_length=2, max_length=2)]]


_SHAPE: Shape[TileLine] = Shape(TileLine)


@dataclass(frozen=True)
class Journal:
    """The lines that can be believed, and the bytes they take."""

    lines: tuple[TileLine, ...]
    n_bytes: int


def read_journal(
    path: Path, cells: Path, region: Box, dtype: Callable[[int], np.dtype[np.void]]
) -> Journal:
    """Read the journal of a count.

    Parameters
    ----------
    path : Path
    cells : Path
        The records of the cells it speaks of.
    region : Box
        What is counted.
    dtype : callable
        The type of a record, by the number of features.
    """
    raw = read_bytes(path, LabelError, MANY_BYTES)
    lines: list[TileLine] = []
    ends: list[int] = []
    end = 0
    while (stop := raw.find(b"\n", end)) >= 0:
        line = _line(raw[end:stop], lines, region)
        if line is None:
            break
        end = stop + 1
        lines.append(line)
        ends.append(end)
    whole = _whole_cells(cells, _head(lines), dtype)
    while lines and lines[-1]["cells"] > whole:
        lines.pop()
        ends.pop()
    return Journal(tuple(lines), ends[-1] if ends else 0)


def _line(text: bytes, before: list[TileLine], region: Box) -> TileLine | None:
    """A line, if it can follow those before it."""
    try:
        line = _SHAPE.of(parse_json(text, "a line"), "a line")
        box = None if line["box"] is None else Box(*line["box"])
    except (LabelError, RegionError):
        return None
    count = before[-1]["cells"] if before else 0
    known = "head" in line or _head(before) is not None
    right = line["cells"] >= count and (known or not line["cells"])
    return line if right and (box is None or region.covers(box)) else None


def _head(lines: list[TileLine]) -> list[list[str]] | None:
    """Names of features and classes, from the first line that has cells."""
    return next((line["head"] for line in lines if "head" in line), None)


def _whole_cells(
    path: Path, head: list[list[str]] | None, dtype: Callable[[int], np.dtype[np.void]]
) -> int:
    """How many of the records, from the first, are those of cells 1, 2, 3 ... of known classes."""
    if head is None:
        return 0
    kind = dtype(len(head[0]))
    count = path.stat().st_size // kind.itemsize
    if not count:
        return 0
    records = np.memmap(path, kind, "r", shape=(count,))
    ids: NDArray[np.int64] = records["id"]
    code: NDArray[np.int16] = records["code"]
    right = (ids == 1 + np.arange(count)) & (code >= 0) & (code < len(head[1]))
    return count if right.all() else int(right.argmin())
