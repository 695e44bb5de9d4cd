"""What an edit changed of objects beside their pixels, as a record of the journal tells it.

Of few objects a record has a line each. Of many it has what is different once, and for each object
a number of it, packed: an edit of a million objects is undone without a million lines in memory.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.packed import Meta, MetaColumn
from histoprompt.core.errors import LabelStoreError

MANY = 1 << 12
"""Objects from which on a record is packed."""

Known = Sequence[Meta | None]


@dataclass(frozen=True, eq=False)
class ObjectChanges:
    """What was known of some objects, and what is.

    Attributes
    ----------
    ids : (n,) uint32
        Ascending.
    before, after : sequence of Meta or None
        Of each; None where there was no such object.
    next_id : (int, int)
        Of the table, before and after.
    """

    ids: NDArray[np.uint32]
    before: Known
    after: Known
    next_id: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """As the header of a record has it."""
        told: dict[str, Any] = {"next_id": [*self.next_id]}
        if len(self.ids) <= MANY:
            return {"ids": self.ids, "before": self.before, "after": self.after, **told}
        before, after = Coded.of(self.before), Coded.of(self.after)
        gaps = np.diff(self.ids, prepend=np.uint32(0))
        told |= {"number": len(self.ids), "packed": _packed(gaps)}
        return {**told, "before": before.to_json(), "after": after.to_json()}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> ObjectChanges:
        """From the header of a record, packed or not.

        Raises
        ------
        LabelStoreError
            If what is packed is damaged.
        """
        low, high = told["next_id"]
        if "packed" not in told:
            ids = np.array(told["ids"], np.uint32)
            before, after = ([m and Meta(*m) for m in told[when]] for when in ("before", "after"))
            return cls(ids, before, after, (low, high))
        ids = np.cumsum(_unpacked(told["packed"], told["number"]), dtype=np.uint32)
        return cls(ids, Coded.from_json(told["before"], len(ids)),
                   Coded.from_json(told["after"], len(ids)), (low, high))  # fmt: skip

    def moved(self, place: Callable[[Meta], Meta]) -> ObjectChanges:
        """The same with records that lie elsewhere."""
        before, after = (Coded.of(known).moved(place) for known in (self.before, self.after))
        return ObjectChanges(self.ids, before, after, self.next_id)


def number_of(told: Mapping[str, Any]) -> int:
    """How many objects the header of a record tells of."""
    return int(told["number"]) if "packed" in told else len(told["ids"])


class Coded(Sequence[Meta | None]):
    """What is known of many objects, each different one once.

    Parameters
    ----------
    metas : sequence of Meta or None
    codes : (n,) uint32
        Which of them each object has.
    """

    def __init__(self, metas: Known, codes: NDArray[np.uint32]) -> None:
        self._metas, self._codes = list(metas), codes

    @classmethod
    def of(cls, known: Known) -> Coded:
        """The same."""
        if isinstance(known, Coded):
            return known
        if isinstance(known, MetaColumn):
            return cls(*known.coded())
        number = {meta: n for n, meta in enumerate(dict.fromkeys(known))}
        return cls(list(number), np.array([number[meta] for meta in known], np.uint32))

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, at: int) -> Meta | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[Meta | None]: ...
    def __getitem__(self, at: int | slice) -> Meta | list[Meta | None] | None:
        if isinstance(at, slice):
            return [self._metas[code] for code in self._codes[at].tolist()]
        return self._metas[int(self._codes[at])]

    def moved(self, place: Callable[[Meta], Meta]) -> Coded:
        """The same with records that lie elsewhere, asked once for each that there is."""
        return Coded([m and place(m) for m in self._metas], self._codes)

    def to_json(self) -> dict[str, Any]:
        """As the header of a record has it."""
        return {"metas": self._metas, "codes": _packed(self._codes)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any], count: int) -> Coded:
        """What `to_json` gave; raises `LabelStoreError` if it is damaged."""
        metas = [m and Meta(*m) for m in told["metas"]]
        codes = _unpacked(told["codes"], count)
        if int(codes.max(initial=0)) >= len(metas):
            raise _damaged()
        return cls(metas, codes)


def _packed(numbers: NDArray[np.uint32]) -> str:
    return base64.b64encode(zlib.compress(numbers.astype("<u4").tobytes(), 1)).decode()


def _unpacked(text: str, count: int) -> NDArray[np.uint32]:
    try:
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u4")
    except (ValueError, zlib.error) as error:
        raise _damaged() from error
    if len(numbers) != count:
        raise _damaged()
    return numbers.astype(np.uint32)


def _damaged() -> LabelStoreError:
    return LabelStoreError("A record of the journal tells of its objects in a way that is damaged.")
