"""Committed objects in the colours of their classes; neighbours without a class differ too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import PrivateAttr

from histoprompt._qt.layers.lookup_colours import LookupColormap
from histoprompt.annotations.class_list import ObjectClass

# For objects without a class: bright hues that pink, purple and brown tissue does not have, and not
# the yellow of the object in hand.
_HUES = ("#00c853", "#ffffff", "#00b0ff", "#ff6d00", "#00e5ff", "#c6ff00")
# Texture values are bytes, and some of them are taken by the background and the hues.
_MOST_CLASSES = 255 - 1 - len(_HUES)
# Larger ids are drawn like objects without a class: the table of colours has a byte for each id.
_LARGEST = 2**24


class ObjectColormap(LookupColormap):
    """Looks up the class of an id; ids it was not told of are being painted now."""

    _beyond: int = PrivateAttr(default=1)
    _classes: tuple[ObjectClass, ...] = PrivateAttr(default=())

    def serves(self, classes: tuple[ObjectClass, ...]) -> bool:
        """Whether it has the colours of these classes."""
        return self._classes == classes

    def show(self, classes: Mapping[int, str], fresh: str) -> None:
        """Know these objects and their classes; what is painted next gets the class `fresh`."""
        ids = np.fromiter(classes, np.int64, len(classes))
        first, shown = 1 + len(_HUES), self._classes[:_MOST_CLASSES]
        codes = {item.name: first + i for i, item in enumerate(shown)}
        codes[""] = 0
        given = np.fromiter((codes.get(n, 0) for n in classes.values()), np.int64, len(classes))
        given = np.where(given > 0, given, 1 + ids % len(_HUES))
        near = ids < _LARGEST
        self._beyond = codes.get(fresh, 0) or 1
        table = np.full(int(ids[near].max(initial=0)) + 1, self._beyond, np.uint8)
        table[ids[near]] = given[near]
        table[0] = 0
        self._table = table


def colormap_of(classes: tuple[ObjectClass, ...]) -> ObjectColormap:
    """Colours of these classes and of objects that have none."""
    rows: list[tuple[float, ...]] = [(0.0, 0.0, 0.0, 0.0)]
    rows += [(*(int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0) for hue in _HUES]
    rows += [(*(value / 255 for value in item.colour), 1.0) for item in classes[:_MOST_CLASSES]]
    made = ObjectColormap(colors=np.array(rows, np.float32))
    made._classes = classes
    return made
