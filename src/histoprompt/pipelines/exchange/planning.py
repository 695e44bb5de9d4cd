"""What an import would change, worked out before anything is.

An object of the file is the same as one of the store if the file states its id and they share a
pixel, or if both cover exactly the same pixels; then the store's object takes the file's outline
and class. All others are added under ids that are free. Of objects of one file that overlap, the
later one keeps the pixels; between the file and the store the rule ``keep`` or ``overwrite``
decides, as it does for every commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.edits import Rule
from histoprompt.annotations.listing import ObjectColumns
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.shared import shared_pixels
from histoprompt.core.labels.sources import cells, read_padded
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.exchange.incoming import Incoming
from histoprompt.pipelines.formats.annotation import MOST_ID

_BLOCK = 1024
_ADDED, _CHANGED, _SAME, _COVERED = range(4)
_Ids = NDArray[np.uint32]


def _none() -> NDArray[np.uint32]:
    return np.zeros(0, np.uint32)


@dataclass(frozen=True, eq=False)
class ImportPlan:
    """What an import would do to a store.

    Attributes
    ----------
    incoming : Incoming
    rule : {"keep", "overwrite"}
    ids : (n,) uint32
        The store's id of each of the file's, in the order of its table; 0 for one that would have
        no pixel left.
    fate : (n,) int8
        Whether each is added, changes an object of the store, is in it already, or is covered.
    removed : (m,) uint32
        Ids of the store's objects that would have no pixel left.
    overlapping : int
        New objects that share a pixel with other objects of the store.
    known : frozenset of str
        Classes that the slide had, which keep their colours.
    regions : ImportPlan or None
        What becomes of the regions of the same file, on their plane.
    """

    incoming: Incoming
    rule: Rule
    ids: _Ids = field(default_factory=_none)
    fate: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    removed: _Ids = field(default_factory=_none)
    overlapping: int = 0
    known: frozenset[str] = frozenset()
    regions: ImportPlan | None = None

    def __str__(self) -> str:
        found = self.incoming
        added, changed, removed = (
            sum(len(ids) for ids in kind)
            for kind in zip(*((p.added, p.changed, p.removed) for p in self.planes), strict=True)
        )
        return (
            f"added {added:,} changed {changed:,} removed {removed:,} "
            f"outside {found.outside:,} repaired {found.repaired:,}"
        )

    @property
    def planes(self) -> tuple[ImportPlan, ...]:
        """The plan of each plane."""
        return (self,) if self.regions is None else (self, self.regions)

    @property
    def added(self) -> _Ids:
        """Ids of the file that are new."""
        return self._of(_ADDED)

    @property
    def changed(self) -> _Ids:
        """Ids of the file that change an object of the store."""
        return self._of(_CHANGED)

    @property
    def same(self) -> _Ids:
        """Ids of the file whose objects are in the store already."""
        return self._of(_SAME)

    def _of(self, fate: int) -> _Ids:
        return np.asarray(self.incoming.table.ids[self.fate == fate])

    @property
    def written(self) -> NDArray[np.intp]:
        """Rows of the file's table that are added or change something, in that order."""
        return np.append(*(np.flatnonzero(self.fate == fate) for fate in (_ADDED, _CHANGED)))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Objects of the file and of the store that share pixels, as rows of their tables."""

    new: NDArray[np.intp]
    there: NDArray[np.intp]
    pixels: NDArray[np.int64]

    def covered(self, side: str, areas: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which objects of the file (``new``) or the store (``there``) the other covers whole."""
        shared = np.bincount(getattr(self, side), self.pixels, minlength=len(areas))
        return np.asarray((shared == areas) & (shared > 0))


def plan_import(
    store: LabelStore, incoming: Incoming, task: Task, rule: Rule = "keep"
) -> ImportPlan:
    """Work out what an import would change; the store stays as it is."""
    regions = None
    if incoming.regions is not None:
        regions = plan_import(store.on("regions"), incoming.regions, task, rule)
    there, table = store.listed(), incoming.table
    pairs = _overlaps(store, there, incoming, task)
    partner = _partners(pairs, incoming, there)
    fresh = partner < 0
    ids = np.where(fresh, 0, there.ids[partner] if len(there) else 0).astype(np.uint32)
    ids[fresh] = _free_ids(table.ids[fresh], table.ids, there.ids)
    fate = np.where(fresh, _ADDED, _CHANGED).astype(np.int8)
    fate[_same(pairs, partner, incoming, there)] = _SAME
    lost = np.zeros(len(there), bool)
    if rule == "keep":
        blocked = pairs.covered("new", table.areas) & fresh
        fate[blocked], ids[blocked] = _COVERED, 0
    else:
        lost = pairs.covered("there", there.areas)
        lost[partner[~fresh]] = False
    return ImportPlan(
        incoming,
        rule,
        ids,
        fate,
        there.ids[lost],
        len(np.unique(pairs.new[fresh[pairs.new]])),
        frozenset(item.name for item in store.class_list()),
        regions,
    )


def _overlaps(store: LabelStore, there: ObjectColumns, incoming: Incoming, task: Task) -> _Pairs:
    """Pixels that each object of the file shares with each of the store."""
    found = [np.zeros((3, 0), np.int64)]
    blocks = blocks_of(store, incoming.labels.filled_boxes()) if len(there) else []
    for done, box in enumerate(blocks):
        task.step(done, len(blocks), "Comparing with what is there")
        old = store.read(box)
        if old.any():
            new, own, pixels = shared_pixels(read_padded(incoming.labels, box), old)
            rows = np.searchsorted(incoming.table.ids, new), np.searchsorted(there.ids, own)
            found.append(np.array([*rows, pixels], np.int64))
    new, own, pixels = np.concatenate(found, axis=1)
    # an object that several blocks meet is there several times
    code, place = np.unique(new * max(1, len(there)) + own, return_inverse=True)
    new, own = np.divmod(code, max(1, len(there)))
    total = np.bincount(place, pixels, minlength=len(code)).astype(np.int64)
    return _Pairs(new.astype(np.intp), own.astype(np.intp), total)


def _partners(pairs: _Pairs, incoming: Incoming, there: ObjectColumns) -> NDArray[np.intp]:
    """The store's row that each of the file's is, by id or by the same pixels; -1 for none."""
    ids, areas = incoming.table.ids, incoming.table.areas
    partner = np.full(len(ids), -1, np.intp)
    named = ids[pairs.new] == there.ids[pairs.there]
    named &= ~np.isin(ids[pairs.new], incoming.given)
    partner[pairs.new[named]] = pairs.there[named]
    used = np.zeros(len(there), bool)
    used[pairs.there[named]] = True
    alike = (pairs.pixels == areas[pairs.new]) & (pairs.pixels == there.areas[pairs.there])
    alike &= (partner[pairs.new] < 0) & ~used[pairs.there]
    partner[pairs.new[alike]] = pairs.there[alike]
    return partner


def _same(
    pairs: _Pairs, partner: NDArray[np.intp], incoming: Incoming, there: ObjectColumns
) -> NDArray[np.intp]:
    """Rows of the file's table that the store has with the same pixels, and no other class."""
    own = pairs.there == partner[pairs.new]
    own &= pairs.pixels == incoming.table.areas[pairs.new]
    own &= pairs.pixels == there.areas[pairs.there]
    new, old = pairs.new[own], pairs.there[own]
    codes, names = incoming.classes.coded(incoming.table.ids[new])
    number = {name: n for n, name in enumerate(there.class_names)}
    as_there = np.array([number.get(name, -1) for name in names])[codes] == there.classes[old]
    unnamed = np.array([not name for name in names])[codes]
    return np.asarray(new[as_there | unnamed])


def _free_ids(wanted: _Ids, own: _Ids, taken: _Ids) -> _Ids:
    """Ids for new objects: those of the file, or where the store has them the next free ones."""
    ids = wanted.copy()
    clash = np.isin(wanted, taken)
    few = int(clash.sum())
    if few:
        first = int(taken.max(initial=0)) + 1
        used = own[own >= first]
        free = np.arange(first, first + few + len(used), dtype=np.int64)
        free = np.setdiff1d(free, used, assume_unique=True)[:few]
        if free[-1] > MOST_ID:
            raise LabelError(
                f"The largest label in use is {first - 1}, and {few:,} new objects need numbers "
                f"above it, but {MOST_ID} is the last. Give that object a smaller number first."
            )
        ids[clash] = free
    return ids


def blocks_of(store: LabelStore, places: Iterable[Box]) -> list[Box]:
    """The blocks of the slide that places lie in, each once, so that each is read once."""
    grid = TileGrid(store.box, _BLOCK, 0, store.box)
    met = {cell for place in places for cell in cells(grid, place)}
    return [grid.tile(*cell).inner for cell in sorted(met)]
