"""The row that says on which part of a slide to work."""

from __future__ import annotations

from typing import Literal

from napari.components import ViewerModel
from napari.layers import Image, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QPushButton
from superqt.utils import signals_blocked

from histoprompt._qt.layers.shape_regions import drawn_layers, regions_in
from histoprompt._qt.layers.work_area import view_box
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.modes import Modes
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.formats.regions import Region

Part = Literal["view", "drawn", "slide", "shapes"]
# Shapes of layers come after these.
_PARTS: dict[Part, str] = {
    "view": "What is in view",
    "drawn": "A drawn rectangle",
    "slide": "The whole slide",
}


class AreaPanel(Panel):
    """View, drawn rectangle, whole slide, or the shapes of a layer where a dock offers these.

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
        self._combo = narrow_combo()
        self._combo.addItems(list(_PARTS.values()))
        self._layers: list[Shapes] = []
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
        index = self._combo.currentIndex()
        return list(_PARTS)[index] if index < len(_PARTS) else "shapes"

    def offer_shapes(self, viewer: ViewerModel) -> None:
        """Offer the Shapes layers that a person made, beside the other parts."""
        chosen = self._layer
        self._layers = drawn_layers(viewer)
        with signals_blocked(self._combo):
            while self._combo.count() > len(_PARTS):
                self._combo.removeItem(len(_PARTS))
            self._combo.addItems([f"Shapes: {layer.name}" for layer in self._layers])
            if chosen is not None:
                there = chosen in self._layers
                place = len(_PARTS) + self._layers.index(chosen) if there else 0
                self._combo.setCurrentIndex(place)

    @property
    def _layer(self) -> Shapes | None:
        """The Shapes layer that is chosen."""
        number = self._combo.currentIndex() - len(_PARTS)
        return self._layers[number] if 0 <= number < len(self._layers) else None

    def choose_shapes(self, layer: Shapes) -> None:
        """Choose the shapes of a layer that is offered."""
        self._combo.setCurrentIndex(len(_PARTS) + self._layers.index(layer))

    def regions(self, image: Image) -> tuple[Region, ...]:
        """The regions that are chosen; none where a part of the slide is.

        Raises
        ------
        RegionError
            If the chosen layer holds no shape with an area.
        """
        return () if self._layer is None else regions_in(self._layer, image)

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
