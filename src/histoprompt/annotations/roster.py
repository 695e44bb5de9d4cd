"""A list of all objects and regions of a slide, to sort and to search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.history import Origin
from histoprompt.annotations.planes import PLANES, Plane
from histoprompt.annotations.reading import LabelReader
from histoprompt.core.geometry import Box

COLUMNS = ("plane", "id", "class", "area", "model", "prompts", "who", "when")
_TITLES: Mapping[Plane, str] = {"objects": "object", "regions": "region"}
_MADE: Mapping[str, Callable[[Origin], str]] = {
    "model": lambda made: str(made.info.get("model") or made.info.get("imported from", "")),
    "prompts": lambda made: _joined(made.info.get("prompts") or made.info.get("text", "")),
    "who": lambda made: made.who,
    "when": lambda made: made.time[:19].replace("T", " "),
}

Chosen = Mapping[Plane, Sequence[int]]
"""Ids of some objects on each plane."""


class Roster:
    """The objects and regions as they were at one moment; their makers are read when asked for.

    Parameters
    ----------
    store : LabelReader
    mpp : float or None
        Microns per pixel, for areas.

    Attributes
    ----------
    plane : (n,) uint8
        Number in `PLANES` of each row.
    ids : (n,) uint32
    areas : (n,) float64
        In square microns, or pixels if the pixel size is not known.
    unit : str
        Of areas.
    """

    def __init__(self, store: LabelReader, mpp: float | None = None) -> None:
        self._store = {plane: store.on(plane) for plane in PLANES}
        parts = [self._store[plane].listed() for plane in PLANES]
        self.plane = np.repeat(np.arange(len(PLANES), dtype=np.uint8), [len(p) for p in parts])
        self.ids = np.concatenate([part.ids for part in parts])
        self._boxes = np.concatenate([part.boxes for part in parts])
        self.unit = "px" if mpp is None else "µm²"
        self.areas = np.concatenate([part.areas for part in parts]) * (
            1.0 if mpp is None else mpp**2
        )
        self.class_names = tuple(sorted({name for part in parts for name in part.class_names}))
        number = {name: n for n, name in enumerate(self.class_names)}
        coded = [
            np.array([number[n] for n in part.class_names], np.int64)[part.classes]
            for part in parts
            if len(part)
        ]
        self._class = np.concatenate([np.zeros(0, np.int64), *coded])
        origins = np.column_stack([self.plane, np.concatenate([part.origins for part in parts])])
        _, self._first, self._made = np.unique(
            origins, axis=0, return_index=True, return_inverse=True
        )
        self._known: dict[int, Origin] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def place(self, row: int) -> tuple[Plane, int]:
        """Plane and id of a row."""
        return PLANES[self.plane[row]], int(self.ids[row])

    def box(self, row: int) -> Box:
        """The smallest level-0 box that holds it."""
        return Box(*(int(side) for side in self._boxes[row]))

    def class_of(self, row: int) -> str:
        """Its class, "" if it has none."""
        return self.class_names[int(self._class[row])]

    def text(self, row: int, column: str) -> str:
        """What a cell of the table says."""
        if column in _MADE:
            return _MADE[column](self._origin(int(self._made[row])))
        if column == "plane":
            return _TITLES[PLANES[self.plane[row]]]
        if column == "class":
            return self.class_of(row)
        return f"{self.areas[row]:,.1f}" if column == "area" else str(self.ids[row])

    def order(
        self, column: str, rows: NDArray[np.intp], descending: bool = False
    ) -> NDArray[np.intp]:
        """Some rows sorted by a column; equal ones as they were."""
        keys = self._keys(column)[rows]
        # Not reversed afterwards: equal rows stay in order either way.
        found = np.argsort(-keys.astype(np.float64) if descending else keys, kind="stable")
        return rows[found]

    def matching(self, text: str, plane: Plane | None = None) -> NDArray[np.intp]:
        """The rows that have every word of a text in one of their cells, in any case."""
        hit = np.ones(len(self), bool)
        if plane is not None:
            hit &= self.plane == PLANES.index(plane)
        for word in text.casefold().split():
            hit &= self._has(word)
        return np.flatnonzero(hit)

    def rows_of(self, chosen: Chosen) -> NDArray[np.intp]:
        """The rows of some objects; those that are gone are left out."""
        hit = np.zeros(len(self), bool)
        for plane, ids in chosen.items():
            hit |= (self.plane == PLANES.index(plane)) & np.isin(
                self.ids, np.asarray(ids, np.uint32)
            )
        return np.flatnonzero(hit)

    def chosen(self, rows: Sequence[int]) -> dict[Plane, list[int]]:
        """The ids of some rows, by plane; planes without any are left out."""
        found: dict[Plane, list[int]] = {}
        for row in rows:
            plane, object_id = self.place(row)
            found.setdefault(plane, []).append(object_id)
        return found

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many objects and regions each class has."""
        both = Counter(zip(self._class.tolist(), self.plane.tolist(), strict=True))
        return {name: (both[code, 0], both[code, 1]) for code, name in enumerate(self.class_names)}

    # -- inner -----------------------------------------------------------------------------------

    def _origin(self, number: int) -> Origin:
        if number not in self._known:
            plane, object_id = self.place(int(self._first[number]))
            self._known[number] = self._store[plane].origin_of(object_id)
        return self._known[number]

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        """What each origin says in the columns that tell of it."""
        origins = [self._origin(number) for number in range(len(self._first))]
        return {name: [text(made) for made in origins] for name, text in _MADE.items()}

    def _keys(self, column: str) -> NDArray[Any]:
        """Numbers that sort as a column's cells do."""
        if column in _MADE:
            texts = self._texts[column]
            rank = {text: n for n, text in enumerate(sorted(set(texts)))}
            return np.array([rank[text] for text in texts], np.int64)[self._made]
        plain = {"plane": self.plane, "id": self.ids, "class": self._class, "area": self.areas}
        return plain[column]

    def _has(self, word: str) -> NDArray[np.bool_]:
        """Which rows have a word in a cell; ids must be the number itself."""
        is_id = word.isascii() and word.isdigit()
        # Every row has most numbers somewhere in its time.
        said = [texts for name, texts in self._texts.items() if not (is_id and name == "when")]
        made = [any(word in texts[n].casefold() for texts in said) for n in range(len(self._first))]
        named = [word in name.casefold() for name in self.class_names]
        planes = [word in _TITLES[plane] for plane in PLANES]
        hit: NDArray[np.bool_] = (
            np.array(made, bool)[self._made] | np.array(named, bool)[self._class]
        )
        hit |= np.array(planes, bool)[self.plane]
        if is_id:
            hit |= self.ids == int(word)
        return hit


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value))
