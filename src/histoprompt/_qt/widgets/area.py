"""The row that says on which part of a slide to work."""

from __future__ import annotations

from typing import Literal

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QPushButton

from histoprompt._qt.layers.work_area import view_box
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.modes import Modes
from histoprompt._qt.widgets.base import Panel, row
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box

Part = Literal["view", "drawn", "slide"]
_PARTS: dict[Part, str] = {
    "view": "What is in view",
    "drawn": "A drawn rectangle",
    "slide": "The whole slide",
}


class AreaPanel(Panel):
    """View, drawn rectangle or whole slide.

    Attributes
    ----------
    drawing : Signal
        The user wants to draw a rectangle: call `draw`.
    form : QFormLayout
        Where a dock may add rows of its own.
    """

    drawing = Signal()

    def __init__(self, part: Part = "view") -> None:
        super().__init__()
        self._combo = QComboBox()
        self._combo.addItems(list(_PARTS.values()))
        self._draw = QPushButton("Draw", toolTip="Drag a rectangle on the slide", checkable=True)
        self._modes: Modes | None = None
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.addRow("Where", row(self._combo, self._draw))
        self._draw.clicked.connect(self._on_draw)
        self.left.connect(self.stop)
        self.choose(part)

    @property
    def part(self) -> Part:
        """What is chosen."""
        return list(_PARTS)[self._combo.currentIndex()]

    def choose(self, part: Part) -> None:
        """Choose a part."""
        self._combo.setCurrentIndex(list(_PARTS).index(part))

    def box(self, viewer: ViewerModel, image: Image, bounds: Box) -> Box:
        """The part in whole level-0 pixels.

        Parameters
        ----------
        viewer : ViewerModel
        image : Image
            The slide's layer.
        bounds : Box
            The slide.

        Raises
        ------
        RegionError
            If nothing was drawn, or the slide is out of view.
        """
        if self.part == "slide":
            return bounds
        if self.part == "drawn":
            drawn = DrawnArea(viewer, image).box(bounds)
            if drawn is None:
                raise RegionError("No rectangle is drawn on the slide: press Draw and drag one.")
            return drawn
        seen = view_box(viewer, image).intersection(bounds)
        if seen is None:
            raise RegionError("The slide is out of view: bring it back, or choose another part.")
        return seen.to_pixels()

    def draw(self, viewer: ViewerModel, image: Image, modes: Modes) -> None:
        """Let the user drag a rectangle; the mode ends with it, or when this goes out of sight."""
        self._modes = modes
        self._draw.setChecked(True)
        DrawnArea(viewer, image).draw(modes, self, self._on_drawn)

    def stop(self) -> None:
        """Let no rectangle be drawn any more."""
        if self._modes is not None:
            self._modes.end(self)
        self._draw.setChecked(False)

    def _on_draw(self, on: bool) -> None:
        if not on:
            self.stop()
            return
        self._draw.setChecked(False)  # until a dock that has a slide lets it be drawn
        self.choose("drawn")
        self.drawing.emit()

    def _on_drawn(self) -> None:
        self._draw.setChecked(False)
