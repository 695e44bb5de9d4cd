"""The lines of a count's log, one for every finished tile, and which of them can be believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from histoprompt.core.cell_table import UNCLASSIFIED
from histoprompt.core.geometry import Box

Sums = Mapping[str, tuple[int, int] | None]
"""Of chunk files, by name: bytes and XXH3; None where there is no file."""


@dataclass(frozen=True)
class TileLogHeader:
    """What columns mean: names of features, and of the classes that codes stand for.

    `palette` is that of `CellTable`.
    """

    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = (UNCLASSIFIED,)
    palette: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """A finished tile.

    Attributes
    ----------
    place : (row, col)
        In the grid.
    cells : int
        How many there are up to and with it.
    box : Box or None
        Where its labels lie.
    sum : int or None
        XXH3 of its records; None where an earlier version wrote the line.
    chunks : mapping of str to (bytes, XXH3) or None
        The chunk files that it was drawn into, as they were then.
    head : TileLogHeader or None
        Of the first tile with cells.
    """

    place: tuple[int, int]
    cells: int
    box: Box | None
    sum: int | None = None
    chunks: Sums | None = None
    head: TileLogHeader | None = None

    def to_line(self) -> bytes:
        """As it stands in the log."""
        line: dict[str, Any] = {"tile": self.place, "cells": self.cells}
        line["box"] = None if self.box is None else [int(v) for v in self.box]
        if self.head is not None:
            line["head"] = [self.head.names, self.head.classes]
        line |= {"sum": self.sum, "chunks": self.chunks}
        return (json.dumps(line) + "\n").encode()

    @classmethod
    def from_line(cls, text: bytes) -> Done:
        """What a line of the log says.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the line is damaged.
        """
        raw = json.loads(text)
        row, col = raw["tile"]
        head = None
        if "head" in raw:
            names, classes = (tuple(str(name) for name in part) for part in raw["head"])
            head = TileLogHeader(names, classes)
        box = None if raw["box"] is None else Box(*(_whole(v) for v in raw["box"]))
        chunks = raw.get("chunks")
        if chunks is not None:
            chunks = {_chunk(n): _file_sum(s) for n, s in chunks.items()}
        tile = _whole(row), _whole(col)
        return cls(tile, _whole(raw["cells"]), box, raw.get("sum"), chunks, head)


def believed(
    path: Path, region: Box, records: Callable[[int, int, TileLogHeader], bytes]
) -> list[Done]:
    """The lines of a log up to the first that is damaged or does not fit the records.

    Parameters
    ----------
    path : Path
    region : Box
        Holds all labels.
    records : callable
        Gives the bytes of some cells, from one number to before another.
    """
    done: list[Done] = []
    head, places = TileLogHeader(), set[tuple[int, int]]()
    for text in path.read_bytes().split(b"\n")[:-1]:
        try:
            line = Done.from_line(text)
            head = line.head or head
            if line.place in places or not _fits(line, done, region, head):
                break
            there = records(done[-1].cells if done else 0, line.cells, head)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            break
        if line.sum is not None and sum_of(there) != line.sum:
            break
        done.append(line)
        places.add(line.place)
    return done


def cut(path: Path, done: list[Done]) -> int:
    """Leave only these lines in a log; returns how many whole ones are taken out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    os.truncate(path, sum(len(line) + 1 for line in lines[: len(done)]))
    return len(lines) - len(done)


def sum_of(data: bytes) -> int:
    """The checksum of a tile's records."""
    return int(xxhash.xxh3_64_intdigest(data))


def _fits(line: Done, done: list[Done], region: Box, head: TileLogHeader) -> bool:
    before = done[-1].cells if done else 0
    inside = line.box is None or region.covers(line.box)
    known = line.cells == 0 or bool(head.names)
    return line.cells >= before and inside and known


def _chunk(name: str) -> str:
    row, col = (int(part) for part in name.split("/"))
    return f"{row}/{col}"


def _file_sum(value: Any) -> tuple[int, int] | None:
    return None if value is None else (int(value[0]), int(value[1]))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**53:
        raise ValueError(f"{value!r} is no count")
    return value
