"""What files measured of their objects, as one table: a column a measurement, a row an object."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_schema import BY_HAND, COLUMNS, is_intensity
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.cells.features import FEATURE_NAMES

MOST_NAMES = 256
"""Measurements that are kept of an object; programs write some dozens."""
MOST_TOLD = 200_000
"""Numbers of one file that committed objects keep: all are in one record of the journal."""

MANY = 2**62
"""No limit on them."""

_OURS = frozenset(
    (*FEATURE_NAMES, *(c.name for c in COLUMNS), *(c.measurement for c in COLUMNS), BY_HAND)
)


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of objects.

    Attributes
    ----------
    names : tuple of str
        Those that a count makes itself are not among them.
    ids : (n,) int64
        Ascending.
    values : (n, k) float32
        NaN where an object lacks one.
    """

    names: tuple[str, ...] = ()
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    values: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def of(self, ids: NDArray[np.integer]) -> NDArray[np.float32]:
        """The (m, k) measurements of some objects; NaN of those that are not measured."""
        out = np.full((len(ids), len(self.names)), np.nan, np.float32)
        if len(self.ids):
            at = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
            known = self.ids[at] == ids
            out[known] = self.values[at[known]]
        return out

    def rows(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Each object that has any, and what it has, in seven digits."""
        for label, row in zip(self.ids.tolist(), self.values, strict=True):
            told = {n: float(f"{v:.7g}") for n, v in zip(self.names, row, strict=True) if v == v}  # noqa: PLR0124
            if told:
                yield label, told

    @property
    def size(self) -> int:
        """Numbers there are."""
        return int(np.count_nonzero(~np.isnan(self.values)))


class Measuring:
    """Gathers measurements, object by object, in little memory.

    Parameters
    ----------
    most : int
        Numbers to keep; if there are more, none is kept.

    Attributes
    ----------
    left_out : set of str
        Names beyond the `MOST_NAMES` first.
    size : int
        Numbers there were.
    """

    def __init__(self, most: int = MANY) -> None:
        self.left_out: set[str] = set()
        self.size = 0
        self._most = most
        self._columns: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._forget()

    def add(self, label: int, numbers: Mapping[str, float]) -> None:
        """Take what was measured of an object."""
        if not numbers:
            return
        row = len(self._ids)
        self._ids.append(label)
        for name, value in numbers.items():
            column = self._known.get(name)
            if column is None:
                column = self._known[name] = self._column_of(name)
            if column >= 0 and abs(value) < _LARGEST:
                self.size += 1
                self._row.append(row)
                self._column.append(column)
                self._value.append(value)
        if self.size > self._most:
            self._forget()

    def _forget(self) -> None:
        self._ids = array("I")
        self._row, self._column, self._value = array("I"), array("H"), array("f")

    def made(self) -> Measured:
        """All of it."""
        values = np.full((len(self._ids), len(self._columns)), np.nan, np.float32)
        values[np.frombuffer(self._row, np.uint32), np.frombuffer(self._column, np.uint16)] = (
            np.frombuffer(self._value, np.float32)
        )
        ids = np.array(self._ids, np.int64)
        order = np.argsort(ids, kind="stable")
        return Measured(tuple(self._columns), ids[order], values[order])

    def _column_of(self, name: str) -> int:
        name = tidy(name)
        if not name or name in _OURS or is_intensity(name):
            return -1
        if name not in self._columns and len(self._columns) == MOST_NAMES:
            self.left_out.add(name)
            return -1
        return self._columns.setdefault(name, len(self._columns))


_LARGEST = float(np.finfo(np.float32).max)


def joined(parts: Sequence[Measured], shifts: Sequence[int]) -> Measured:
    """The measurements of several files as those of one, their ids shifted so far."""
    names = tuple(dict.fromkeys(n for part in parts for n in part.names))[:MOST_NAMES]
    at = {name: i for i, name in enumerate(names)}
    ids = np.concatenate([part.ids + shift for part, shift in zip(parts, shifts, strict=True)])
    values = np.full((len(ids), len(names)), np.nan, np.float32)
    row = 0
    for part in parts:
        kept = [i for i, name in enumerate(part.names) if name in at]
        values[row : row + len(part.ids), [at[part.names[i]] for i in kept]] = part.values[:, kept]
        row += len(part.ids)
    return Measured(names, ids, values)
