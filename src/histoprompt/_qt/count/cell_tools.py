"""What a click or a stroke on the counted cells corrects, by the tool or the key that is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.count.layers import CountLayers
from histoprompt._qt.shell.gestures import Modifier
from histoprompt.pipelines.count.corrections import ClickedPlace, along, between
from histoprompt.pipelines.prompts.segment import SegmentJob

Tool = Literal["", "add", "delete", "split", "merge"]
CANVAS = "canvas"

# What a click does while a key is held, whatever tool is on.
HELD: dict[Modifier, Tool] = {"Control": "delete", "Shift": "add", "Alt": "merge"}
SAYS: dict[Tool, str] = {
    "add": "Correct: click each cell that was missed",
    "delete": "Correct: click each cell that is none",
    "split": "Correct: draw a line through a cell, or click two places in it",
    "merge": "Correct: click two cells that are one",
}


class CellTools:
    """Corrects cells where one clicks.

    Parameters
    ----------
    counting : Counting
    layers : CountLayers
    outliner : callable
        Gives the model that outlines an added cell.

    Attributes
    ----------
    tool : str
        What clicks correct; empty for nothing.
    """

    def __init__(
        self, counting: Counting, layers: CountLayers, outliner: Callable[[], SegmentJob]
    ) -> None:
        self._counting, self._layers, self._outliner = counting, layers, outliner
        self.tool: Tool = ""
        self._first: tuple[Tool, int, ClickedPlace] | None = None

    def use(self, tool: Tool) -> None:
        """Correct with this tool from now on."""
        self.tool = tool
        self._first = None

    def click(self, tool: Tool, place: tuple[float, float]) -> None:
        """Correct what lies at a level-0 (row, col)."""
        cell, at = self._layers.cell_at(place), ClickedPlace(*place)
        if tool == "add":
            self._counting.correcting.add(at, self._outliner())
        elif not cell:
            self._first = None
            self._counting.status.emit("There is no cell here. Click a cell.")
        elif tool == "delete":
            self._counting.correcting.delete([cell])
        else:
            self._click_of_two(tool, cell, at)

    def stroke(self, places: Sequence[tuple[float, float]]) -> None:
        """Part the cell that a line of level-0 places crosses most."""
        crossed = [self._layers.cell_at(place) for place in _filled(places)]
        cells = [cell for cell in crossed if cell]
        if not cells:
            self._counting.status.emit("The line crosses no cell: draw it through one.")
            return
        cell = max(dict.fromkeys(cells), key=cells.count)
        self._counting.correcting.split(cell, along(places))

    def _click_of_two(self, tool: Tool, cell: int, at: ClickedPlace) -> None:
        """The first click picks a cell, the second one acts."""
        first, self._first = self._first, None
        if first is not None and first[0] == tool and self._counting.place(first[1]) is not None:
            _, before, place = first
            if tool == "split" and before == cell:
                self._counting.correcting.split(cell, between(place, at))
                return
            if tool == "merge" and before != cell:
                self._counting.correcting.merge([before, cell])
                return
        self._first = (tool, cell, at)
        self._counting.choose(cell, CANVAS)
        more = "another place in it" if tool == "split" else "the cell to merge it with"
        self._counting.status.emit(f"Cell {cell} is picked: click {more}.")


def _filled(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Places about a pixel apart along the corners of a line."""
    out = [places[0]]
    for (r0, c0), (r1, c1) in pairwise(places):
        steps = max(1, round(max(abs(r1 - r0), abs(c1 - c0))))
        out += [
            (r0 + (r1 - r0) * k / steps, c0 + (c1 - c0) * k / steps) for k in range(1, steps + 1)
        ]
    return out
