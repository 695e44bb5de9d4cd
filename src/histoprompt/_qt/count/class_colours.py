"""Cells in the colours of their classes, through one lookup table from ids to classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray
from pydantic import PrivateAttr

from histoprompt.core.labels.classes import cell_colours

# Room for classes in the texture of colours; napari casts values to uint8 up to this many.
MOST_CLASSES = 250


class ClassColormap(CyclicLabelColormap):
    """Labels coloured by class: what is looked up is a number a class, not a colour an id.

    napari's own map from ids to colours is a Python dict that is built anew at every change. Here
    a change of classes rewrites one array of bytes, and only what is in view is looked up again.
    """

    _texture_of: NDArray[np.uint8] = PrivateAttr(default_factory=lambda: np.zeros(1, np.uint8))

    def show(self, ids: NDArray[np.int64], codes: NDArray[np.int16]) -> None:
        """Give (n,) ids the classes of these codes; all other ids are not drawn."""
        table = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
        table[ids] = codes + 1
        self._texture_of = table

    def _data_to_texture(self, values: Any) -> Any:
        """Numbers of colours for ids, as napari's hook for what is sent to the graphics card."""
        known = np.minimum(values, len(self._texture_of))
        return np.append(self._texture_of, np.uint8(0))[known]

    def map(self, values: Any) -> NDArray[np.float32]:
        """Colours (..., 4) of ids, for the thumbnail and the selected label."""
        found: NDArray[np.float32] = self.colors[self._data_to_texture(np.asarray(values))]
        return found


def colormap_of(classes: Sequence[str], palette: Sequence[str] = ()) -> ClassColormap:
    """Colours of classes, in their order; the first colour of the map is that of the background.

    `palette` is that of `CellTable`.
    """
    colours = cell_colours(classes, palette)
    rows = [(0.0, 0.0, 0.0, 0.0)]
    rows += [(r / 255, g / 255, b / 255, 1.0) for r, g, b in (colours[c] for c in classes)]
    return ClassColormap(colors=np.array(rows, np.float32))
