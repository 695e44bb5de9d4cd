"""Cells in the colours of their classes, through one lookup table from ids to classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt._qt.layers.lookup_colours import LookupColormap
from histoprompt.core.cell_table import CellTable
from histoprompt.core.labels.classes import colours_of


class ClassColormap(LookupColormap):
    """Labels coloured by class: what is looked up is a number a class, not a colour an id.

    napari's own map from ids to colours is a Python dict that is built anew at every change. Here
    a change of classes rewrites one array of bytes, and only what is in view is looked up again.
    """

    def show(self, ids: NDArray[np.int64], codes: NDArray[np.int16]) -> None:
        """Give (n,) ids the classes of these codes; all other ids are not drawn."""
        table = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
        table[ids] = codes + 1
        self._table = table


def colormap_of(cells: CellTable) -> ClassColormap:
    """Colours of classes, in their order; the first colour of the map is that of the background."""
    colours = colours_of(cells)
    rows = [(0.0, 0.0, 0.0, 0.0)]
    rows += [(r / 255, g / 255, b / 255, 1.0) for r, g, b in (colours[c] for c in cells.classes)]
    return ClassColormap(colors=np.array(rows, np.float32))
