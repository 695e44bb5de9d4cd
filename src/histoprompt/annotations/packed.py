"""What is known of very many objects, in arrays: a few bytes each.

What changed last lies in a small dictionary and goes over into the arrays when it has grown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.labels.edges import ranges

FOLD_AT = 1 << 14
"""Changes between two turns of the arrays."""
FEW = 256
"""Changes that are looked at one by one."""


class Meta(NamedTuple):
    """What is known of an object beside its pixels.

    Attributes
    ----------
    class_name : str
        "" if it has none.
    record, step : int
        The edit that made it: offset of the record in the journal, and its step in there.
    """

    class_name: str
    record: int
    step: int


_ROW = np.dtype([("id", "<u4"), ("code", "<i4"), ("record", "<i8"), ("step", "<i4")])
_NOTHING = -1


class MetaMap(MutableMapping[int, Meta | None]):
    """What is known of objects by their id; None may be noted, too."""

    def __init__(self, known: Mapping[int, Meta | None] | None = None) -> None:
        self._rows = np.zeros(0, _ROW)
        self._recent: dict[int, Meta | None] = {}
        self._gone: set[int] = set()
        self._names: list[str] = []
        self._codes: dict[str, int] = {}
        self._made: dict[tuple[int, int, int], Meta] = {}
        self._count = 0
        if known is not None:
            self.update(known)

    def __getitem__(self, label: int) -> Meta | None:
        if label in self._recent:
            return self._recent[label]
        row = self._row(label)
        if row is None:
            raise KeyError(label)
        return self._meta(*row)

    def __setitem__(self, label: int, meta: Meta | None) -> None:
        if label not in self:
            self._count += 1
        self._gone.discard(label)
        self._recent[label] = meta
        if len(self._recent) + len(self._gone) > FOLD_AT:
            self._fold()

    def __delitem__(self, label: int) -> None:
        if label not in self:
            raise KeyError(label)
        self._count -= 1
        self._recent.pop(label, None)
        self._gone.add(label)
        if len(self._recent) + len(self._gone) > FOLD_AT:
            self._fold()

    def __contains__(self, label: object) -> bool:
        return label in self._recent or self._row(label) is not None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        self._fold()
        return iter(self._rows["id"].tolist())

    def copy(self) -> MetaMap:
        """Another one with the same."""
        self._fold()
        out = MetaMap()
        out._rows, out._names, out._codes = self._rows, [*self._names], dict(self._codes)
        out._count = self._count
        return out

    @classmethod
    def of_columns(cls, rows: NDArray[np.int64], names: Sequence[str]) -> MetaMap:
        """From (n, 4) rows of id, number in `names`, record and step."""
        out = cls()
        out._names, out._codes = list(names), {name: n for n, name in enumerate(names)}
        columns = rows[np.argsort(rows[:, 0], kind="stable")].T
        out._rows = np.zeros(len(rows), _ROW)
        for name, column in zip(_ROW.names or (), columns, strict=True):
            out._rows[name] = column
        out._count = len(rows)
        return out

    def rows(self) -> NDArray[np.void]:
        """Id, code of the class (-1 for None), record and step of all, ids ascending."""
        self._fold()
        return self._rows

    @property
    def names(self) -> tuple[str, ...]:
        """The classes by their codes; some may not be in use any more."""
        self._fold()
        return tuple(self._names)

    def moved(self, place: Callable[[Meta], Meta]) -> MetaMap:
        """The same with records that lie elsewhere, asked once for each that there is."""
        out = self.copy()
        columns = self._rows[["code", "record", "step"]]
        different, at = np.unique(columns, return_inverse=True)
        metas = [place(meta) for row in different.tolist() if (meta := self._meta(*row))]
        out._rows = self._rows.copy()
        for name in ("record", "step"):
            there = np.array([getattr(meta, name) for meta in metas], _ROW[name])
            out._rows[name] = there[at] if len(at) else 0
        return out

    def first_of_classes(self) -> dict[str, int]:
        """The smallest id of each class in use."""
        codes, at = np.unique(self.rows()["code"], return_index=True)
        ids = self._rows["id"][at].tolist()
        return {self._names[c]: i for c, i in zip(codes.tolist(), ids, strict=True) if c >= 0}

    def of_classes(self, names: Iterable[str]) -> NDArray[np.uint32]:
        """The ids of some classes, ascending."""
        rows = self.rows()
        wanted = [self._codes[name] for name in names if name in self._codes]
        return np.asarray(rows["id"][np.isin(rows["code"], wanted)])

    def changes(
        self, now: MetaMap
    ) -> tuple[NDArray[np.uint32], Sequence[Meta | None], Sequence[Meta | None]]:
        """The ids of which another one says something else, or nothing: what was, and what is."""
        if len(self) <= FEW:  # a stroke must not turn the arrays of a million objects
            told = [(i, self[i], now.get(i)) for i in sorted(self)]
            other = [(i, before, after) for i, before, after in told if before != after]
            ids, before, after = zip(*other, strict=True) if other else ((), (), ())
            return np.array(ids, np.uint32), before, after
        rows, there = self.rows(), now.rows()
        since = np.zeros(len(rows), _ROW)
        since["id"], since["code"] = rows["id"], _NOTHING
        at = np.searchsorted(there["id"], rows["id"])
        known = np.append(there["id"], 0)[at] == rows["id"]
        since[known] = there[at[known]]
        codes = np.array([*(now._codes.get(name, -2) for name in self._names), _NOTHING])
        differ = codes[rows["code"]] != since["code"]
        differ |= (rows["record"] != since["record"]) | (rows["step"] != since["step"])
        return rows["id"][differ], MetaColumn(self, rows[differ]), MetaColumn(now, since[differ])

    def meta_of(self, row: NDArray[np.void]) -> list[Meta | None]:
        """What some rows say, each different one made once."""
        return [self._meta(*rest) for _, *rest in row.tolist()]

    def _row(self, label: object) -> tuple[int, int, int] | None:
        if not isinstance(label, int | np.integer) or not len(self._rows) or label in self._gone:
            return None
        at = int(np.searchsorted(self._rows["id"], np.uint32(label)))
        if at == len(self._rows) or self._rows["id"][at] != label:
            return None
        return self._rows[at].tolist()[1:]  # type: ignore[no-any-return]

    def _meta(self, code: int, record: int, step: int) -> Meta | None:
        if code == _NOTHING:
            return None
        place = code, record, step
        if place not in self._made:
            if len(self._made) > FOLD_AT:
                self._made.clear()
            self._made[place] = Meta(self._names[code], record, step)
        return self._made[place]

    def _code(self, name: str) -> int:
        if name not in self._codes:
            self._codes[name] = len(self._names)
            self._names.append(name)
        return self._codes[name]

    def _fold(self) -> None:
        """Take what changed last over into the arrays."""
        if not self._recent and not self._gone:
            return
        old = np.fromiter((*self._recent, *self._gone), np.uint32)
        rows = np.array(
            [
                (i, _NOTHING, 0, 0) if m is None else (i, self._code(m.class_name), *m[1:])
                for i, m in self._recent.items()
            ],
            _ROW,
        )
        self._rows = merged(self._rows, old, rows)
        self._recent, self._gone = {}, set()


class MetaColumn(Sequence[Meta | None]):
    """What is known of objects one after the other, made when it is asked for."""

    def __init__(self, known: MetaMap, rows: NDArray[np.void]) -> None:
        self._known, self._rows = known, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Meta | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[Meta | None]: ...
    def __getitem__(self, at: int | slice) -> Meta | list[Meta | None] | None:
        if isinstance(at, slice):
            return self._known.meta_of(self._rows[at])
        return self._known.meta_of(self._rows[at : at + 1 or None])[0]

    def coded(self) -> tuple[list[Meta | None], NDArray[np.uint32]]:
        """Each different one once, and which of them every object has."""
        rows = self._rows
        _, at = np.unique(rows["record"], return_inverse=True)
        steps, codes = rows["step"].astype(np.int64), rows["code"].astype(np.int64) + 1
        key = (at * (steps.max(initial=0) + 1) + steps) * (codes.max(initial=0) + 1) + codes
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        return self._known.meta_of(rows[first]), number.astype(np.uint32)


def merged(
    rows: NDArray[np.void], gone: NDArray[np.uint32], new: NDArray[np.void]
) -> NDArray[np.void]:
    """Rows sorted by id without those of some ids, and with new ones; equal ids stay in order."""
    low, high = (np.searchsorted(rows["id"], gone, side) for side in ("left", "right"))
    keep = np.ones(len(rows), bool)
    keep[ranges(low, high - low)[0]] = False
    kept = rows if keep.all() else rows[keep]
    new = new[np.argsort(new["id"], kind="stable")]
    return np.insert(kept, np.searchsorted(kept["id"], new["id"], "right"), new)
