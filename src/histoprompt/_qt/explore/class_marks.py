"""The layer of tiles that a person gave classes, each in the colour of its class."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Points

from histoprompt._qt.explore.layers import ExploreLayers
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Colour

MARKS = "tile_class_marks"
_BORDER = 0.04


class ClassMarks(ExploreLayers):
    """Squares around marked tiles of one slide; clicks on their layer are served."""

    def marks(self) -> Points:
        """The layer that takes clicks, made if there is none."""
        layer = self._present(MARKS)
        if layer is None:
            layer = self._add(MARKS)
            self._attach(layer)
        return layer

    def show_marks(self, boxes: Sequence[Box], colours: Sequence[Colour]) -> None:
        """Show these tiles in these colours."""
        if not boxes and self._present(MARKS) is None:
            return
        layer = self.marks()
        self._fill(layer, boxes)
        if boxes:
            layer.border_color = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours]
            layer.border_width = _BORDER
