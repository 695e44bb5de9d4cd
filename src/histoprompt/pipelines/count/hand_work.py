"""What a person corrected of a count: cells made and cells taken away, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_schema import COLUMNS, OPTIONAL_COLUMNS, PER_CELL
from histoprompt.core.cell_table import UNCLASSIFIED, UNSURE, CellTable
from histoprompt.core.geometry import Box
from histoprompt.core.results import Mask
from histoprompt.pipelines.count.tile_log import TileLogHeader

Op = Literal["add", "delete", "split", "merge", "labels"]
_MADE: tuple[Op, ...] = ("add", "labels")


@dataclass(frozen=True, eq=False)
class HandCell:
    """A cell that a person made.

    Attributes
    ----------
    id : int
        Beyond those of all cells that were counted.
    row, col : float
        Centroid, level-0 pixels.
    area_um2 : float
    mask : Mask
        Level-0 pixels, cropped.
    features : (k,) float32
        As those of counted cells are measured.
    class_name : str
        By the classifier the cells were counted with.
    score : float
    """

    id: int
    row: float
    col: float
    area_um2: float
    mask: Mask
    features: NDArray[np.float32]
    class_name: str = UNCLASSIFIED
    score: float = float("nan")

    @property
    def box(self) -> Box:
        """Where it lies, integer level-0 pixels."""
        return self.mask.frame.box


@dataclass(frozen=True, eq=False)
class Correction:
    """One step: some cells are gone, others are there.

    Attributes
    ----------
    number : int
        From 1, in the order they were made.
    op : {"add", "delete", "split", "merge", "labels"}
        ``labels``: cells taken from committed objects.
    gone : tuple of int
        Ids of cells that it takes away.
    cells : tuple of HandCell
        What it makes.
    where : Box
        Level-0 box that holds all of these.
    info : mapping
        Who or what made them, plain JSON.
    """

    number: int
    op: Op
    gone: tuple[int, ...]
    cells: tuple[HandCell, ...]
    where: Box
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HandTally:
    """What corrections come to.

    Attributes
    ----------
    found : int
        Cells that were counted.
    added, removed : int
        Cells a person made that are not taken away again, and counted ones taken away.
    split, merged : int
        How many cells were parted, and how many came of several.
    cells : int
        Cells there are now.
    """

    found: int
    added: int = 0
    removed: int = 0
    split: int = 0
    merged: int = 0
    cells: int = 0

    @property
    def touched(self) -> bool:
        """Whether anything is corrected."""
        return bool(self.added or self.removed or self.split or self.merged)

    def __str__(self) -> str:
        """``corrected by hand: +12 -30``; empty if nothing is."""
        if not self.touched:
            return ""
        parts = [f"+{self.added} -{self.removed}"]
        parts += [f"{self.split} split"] * bool(self.split)
        parts += [f"{self.merged} merged"] * bool(self.merged)
        return f"corrected by hand: {', '.join(parts)}"


NOTHING_CORRECTED = HandTally(0)


def tally_of(found: int, steps: Iterable[Correction]) -> HandTally:
    """Add up corrections, in the order they were made."""
    by_hand: set[int] = set()
    sums = dict.fromkeys(("added", "removed", "split", "merged"), 0)
    cells = found
    for step in steps:
        cells += len(step.cells) - len(step.gone)
        if step.op in _MADE:
            sums["added"] += len(step.cells)
            by_hand |= {cell.id for cell in step.cells}
        elif step.op == "delete":
            # what a person made and took away again never was
            again = len(by_hand.intersection(step.gone))
            sums["added"] -= again
            sums["removed"] += len(step.gone) - again
        else:
            sums["split" if step.op == "split" else "merged"] += 1
    return HandTally(found, **sums, cells=cells)


@dataclass(frozen=True, eq=False)
class HandWork:
    """All corrections that hold at one moment, as they change what is read of a count.

    Attributes
    ----------
    base : int
        Cells that were counted: their ids are 1 to this.
    gone : frozenset of int
        Ids of those that are taken away.
    cells : tuple of HandCell
        What a person made and is there, in the order of ids. No two cells share a pixel.
    tally : HandTally
    names : tuple of str
        Of features.
    """

    base: int
    gone: frozenset[int] = frozenset()
    cells: tuple[HandCell, ...] = ()
    tally: HandTally = NOTHING_CORRECTED
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.base - len(self.gone) + len(self.cells)

    def __contains__(self, cell: int) -> bool:
        """Whether there is a cell of this id."""
        if 0 < cell <= self.base:
            return cell not in self.gone
        return cell in self.by_id

    @cached_property
    def by_id(self) -> dict[int, HandCell]:
        """The cells a person made."""
        return {cell.id: cell for cell in self.cells}

    @cached_property
    def _stay(self) -> NDArray[np.bool_]:
        """(base + 1,) Which counted ids are shown; 0, the background, is."""
        stay = np.ones(self.base + 1, bool)
        stay[list(self.gone)] = False
        return stay

    @cached_property
    def _boxes(self) -> NDArray[np.float64]:
        """(n, 4) boxes of the cells a person made."""
        return np.array([tuple(cell.box) for cell in self.cells], float).reshape(-1, 4)

    def kept(self, ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which counted cells are there still."""
        return np.asarray(self._stay[ids])

    def near(self, box: Box) -> Iterator[HandCell]:
        """The cells a person made whose boxes meet a level-0 box."""
        b = self._boxes
        meets = (b[:, 0] < box.r1) & (b[:, 2] > box.r0) & (b[:, 1] < box.c1) & (b[:, 3] > box.c0)
        return (self.cells[i] for i in np.flatnonzero(meets))

    def onto(
        self, ids: NDArray[np.integer], place: tuple[int, int], step: int = 1
    ) -> NDArray[np.uint32]:
        """Corrected labels.

        Parameters
        ----------
        ids : (h, w) integer
            Labels as they were counted.
        place : (row, col)
            Level-0 position of their first pixel.
        step : int
            Level-0 pixels a pixel; the middle one of them counts.
        """
        out = np.where(ids <= self.base, ids, 0).astype(np.uint32)
        if self.gone:
            out = np.where(self._stay[out], out, 0).astype(np.uint32)
        if not self.cells:
            return out
        rows, cols = (
            p + np.arange(n) * step + step // 2 for p, n in zip(place, ids.shape, strict=True)
        )
        if not len(rows) or not len(cols):
            return out
        seen = Box(rows[0], cols[0], rows[-1] + 1, cols[-1] + 1)
        for cell in self.near(seen):
            box = cell.box
            r, c = (
                slice(*np.searchsorted(at, ends))
                for at, ends in ((rows, (box.r0, box.r1)), (cols, (box.c0, box.c1)))
            )
            inside = cell.mask.array[np.ix_(rows[r] - round(box.r0), cols[c] - round(box.c0))]
            out[r, c][inside] = cell.id
        return out

    def head(self, head: TileLogHeader) -> TileLogHeader:
        """What columns mean, also where nothing was counted before."""
        return head if head.names else replace(head, names=self.names)

    def records(self, head: TileLogHeader, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """The cells a person made as they would be stored."""
        codes = {name: i for i, name in enumerate(head.classes)}
        unknown = codes.get(UNCLASSIFIED, codes.get(UNSURE, 0))
        out = np.zeros(len(self.cells), dtype)
        for column in COLUMNS:
            out[column.attribute] = column.empty if column in OPTIONAL_COLUMNS else 0
        for record, cell in zip(out, self.cells, strict=True):
            record["id"], record["row"], record["col"] = cell.id, cell.row, cell.col
            record["area_um2"], record["score"] = cell.area_um2, cell.score
            record["code"] = codes.get(cell.class_name, unknown)
            record["box"], record["features"] = tuple(cell.box), cell.features
        return out

    def table(self, found: CellTable, made: NDArray[np.void]) -> CellTable:
        """All cells there are, from those that were counted and records of those made."""
        stay = self.kept(found.id)
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(found, name)[stay], made[name]])
            for name in PER_CELL
            if name != "features" or len(found)
        }
        columns.setdefault("features", made["features"])
        names = found.feature_names if len(found) else self.names
        return replace(found, **columns, feature_names=names)
