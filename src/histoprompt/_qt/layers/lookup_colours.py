"""Colours of ids through one lookup table of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray
from pydantic import PrivateAttr


class LookupColormap(CyclicLabelColormap):
    """Looks up the number of a colour for each id; those who derive from it fill the table."""

    _table: NDArray[np.uint8] = PrivateAttr(default_factory=lambda: np.zeros(1, np.uint8))
    # The number for ids beyond the table.
    _beyond: int = PrivateAttr(default=0)

    def _data_to_texture(self, values: Any) -> Any:
        """Numbers of colours for ids, as napari's hook for what is sent to the graphics card."""
        known = np.minimum(values, len(self._table)).astype(np.int64)
        return np.append(self._table, np.uint8(self._beyond))[known]

    def map(self, values: Any) -> NDArray[np.float32]:
        """Colours (..., 4) of ids, for the thumbnail and the selected label."""
        found: NDArray[np.float32] = self.colors[self._data_to_texture(np.asarray(values))]
        return found
