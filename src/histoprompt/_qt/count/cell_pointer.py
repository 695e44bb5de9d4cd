"""What the pointer does on the layer of counted cells: choose, correct, or give classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari.layers import Labels

from histoprompt._qt.count.cell_tools import CANVAS, HELD, CellTools, Tool
from histoprompt._qt.count.controller import Counting
from histoprompt._qt.count.layers import CountLayers
from histoprompt._qt.shell.gestures import held


class CellPointer:
    """Serves clicks and strokes on counted cells.

    Parameters
    ----------
    counting : Counting
    layers : CountLayers
    tools : CellTools
        Correct what is clicked.

    Attributes
    ----------
    label_as : str
        The class that touched cells are given; empty to choose the clicked one.
    """

    def __init__(self, counting: Counting, layers: CountLayers, tools: CellTools) -> None:
        self._counting, self._layers, self._tools = counting, layers, tools
        self.label_as = ""

    def attach(self, layer: Labels) -> None:
        """Serve a layer."""
        layer.mouse_drag_callbacks.append(self._dragged)
        self.use(self.label_as)

    def use(self, name: str) -> None:
        """Label cells as this from now on; with an empty name clicks choose cells."""
        self.label_as = name
        self._tools.use("")
        self._set_pan()

    def correct(self, tool: Tool) -> None:
        """Correct cells with this tool from now on; with an empty one clicks choose cells."""
        self.label_as = ""
        self._tools.use(tool)
        self._set_pan()

    def _set_pan(self) -> None:
        layer = self._layers.cells
        if layer is not None:
            # A stroke over cells must not move the slide below it.
            layer.mouse_pan = not self.label_as and self._tools.tool != "split"

    def _dragged(self, _: Labels, event: Any) -> Iterator[None]:
        places, moved = [self._layers.place_of(event.position)], False
        keys = held(event)
        yield
        while event.type == "mouse_move":
            moved = True
            places.append(self._layers.place_of(event.position))
            yield
        tool = next((HELD[key] for key in HELD if key in keys), self._tools.tool)
        if tool and not self.label_as:
            self._correct(tool, places, moved)
            return
        touched = dict.fromkeys(
            self._layers.cell_at(p) for p in (places if self.label_as else places[:1])
        )
        cells = [cell for cell in touched if cell]
        if self.label_as and cells:
            self._counting.classes.label(cells, self.label_as)
            self._counting.choose(cells[-1], CANVAS)
        elif cells and not moved:
            self._counting.choose(cells[0], CANVAS)

    def _correct(self, tool: Tool, places: list[tuple[float, float]], moved: bool) -> None:
        if not moved:
            self._tools.click(tool, places[0])
        elif tool == "split":
            self._tools.stroke(places)
