"""The layer of counted cells that are unlike normal ones."""

from __future__ import annotations

from collections.abc import Sequence

from histoprompt._qt.explore.layers import ExploreLayers
from histoprompt.core.geometry import Box

CELLS = "unlike_cells"


class UnlikeCells(ExploreLayers):
    """Squares around cells of one slide."""

    def show_cells(self, boxes: Sequence[Box]) -> None:
        """A square around each; none takes the layer away."""
        if not boxes:
            self.clear()
            return
        layer = self._present(CELLS)
        self._fill(self._add(CELLS) if layer is None else layer, boxes)
