"""What the pointer does on the layer of counted cells: choose one, or give classes to some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari.layers import Labels

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.count.layers import CountLayers

CANVAS = "canvas"


class CellPointer:
    """Serves clicks and strokes on counted cells.

    Parameters
    ----------
    counting : Counting
    layers : CountLayers

    Attributes
    ----------
    label_as : str
        The class that touched cells are given; empty to choose the clicked one.
    """

    def __init__(self, counting: Counting, layers: CountLayers) -> None:
        self._counting, self._layers = counting, layers
        self.label_as = ""

    def attach(self, layer: Labels) -> None:
        """Serve a layer."""
        layer.mouse_drag_callbacks.append(self._dragged)
        self.use(self.label_as)

    def use(self, name: str) -> None:
        """Label cells as this from now on; with an empty name clicks choose cells."""
        self.label_as = name
        layer = self._layers.cells
        if layer is not None:
            # A stroke over cells must not move the slide below it.
            layer.mouse_pan = not name

    def _dragged(self, _: Labels, event: Any) -> Iterator[None]:
        touched = {self._layers.id_at(event.position): None}
        yield
        moved = False
        while event.type == "mouse_move":
            moved = True
            if self.label_as:
                touched[self._layers.id_at(event.position)] = None
            yield
        cells = [cell for cell in touched if cell]
        if self.label_as and cells:
            self._counting.classes.label(cells, self.label_as)
            self._counting.choose(cells[-1], CANVAS)
        elif cells and not moved:
            self._counting.choose(cells[0], CANVAS)
