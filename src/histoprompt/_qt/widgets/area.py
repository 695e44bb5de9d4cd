"""The row that says on which part of a slide to work."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from napari.components import ViewerModel
from napari.layers import Image, Shapes
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QFormLayout, QPushButton
from superqt.utils import signals_blocked

from histoprompt._qt.layers.shape_regions import drawn_layers, regions_in
from histoprompt._qt.layers.work_area import view_box
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.modes import Modes
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.formats.regions import Region

Part = Literal["view", "drawn", "slide", "shapes", "regions"]
# Shapes of layers come after these, and then committed regions.
_PARTS: dict[Part, str] = {
    "view": "What is in view",
    "drawn": "A drawn rectangle",
    "slide": "The whole slide",
}


class AreaPanel(Panel):
    """View, drawn rectangle, whole slide; shapes and committed regions where a dock offers these.

    Attributes
    ----------
    drawing : Signal
        The user wants to draw a rectangle: call `draw`.
    ended : Signal
        A rectangle was drawn, or given up: `is_drawn` says which.
    choosing : Signal
        The user turns to the row: offer what there is now.
    form : QFormLayout
        Where a dock may add rows of its own.
    """

    drawing = Signal()
    choosing, ended = Signal(), Signal()

    def __init__(self, part: Part = "view") -> None:
        super().__init__()
        self._combo = narrow_combo()
        self._combo.addItems(list(_PARTS.values()))
        self._layers: list[Shapes] = []
        self._classes: list[str] = []
        self._combo.installEventFilter(self)
        self._draw = QPushButton("Draw", toolTip="Drag a rectangle on the slide", checkable=True)
        self._modes: Modes | None = None
        self._area: DrawnArea | None = None
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
        if index < len(_PARTS):
            return list(_PARTS)[index]
        return "regions" if self._layer is None else "shapes"

    def offer(self, viewer: ViewerModel, store: LabelStore | None = None) -> None:
        """Offer Shapes layers that a person made and the committed regions, beside the others."""
        part, layer, name = self.part, self._layer, self.class_name
        counts = Counter(() if store is None else store.on("regions").classes().values())
        self._layers = drawn_layers(viewer)
        self._classes = [*([""] if counts else []), *sorted(c for c in counts if c)]
        texts = [f"Shapes: {shapes.name}" for shapes in self._layers]
        numbers = {**counts, "": counts.total()}
        texts += [f"Regions: {c or 'all'} ({numbers[c]})" for c in self._classes]
        with signals_blocked(self._combo):
            while self._combo.count() > len(_PARTS):
                self._combo.removeItem(len(_PARTS))
            self._combo.addItems(texts)
            if part == "shapes":
                there = layer in self._layers
                first = len(_PARTS)
                self._combo.setCurrentIndex(first + self._layers.index(layer) if there else 0)
            elif part == "regions":
                self.choose_regions(name if name in self._classes else None)

    @property
    def _layer(self) -> Shapes | None:
        """The Shapes layer that is chosen."""
        number = self._combo.currentIndex() - len(_PARTS)
        return self._layers[number] if 0 <= number < len(self._layers) else None

    @property
    def class_name(self) -> str:
        """Of which class the committed regions are that are chosen; "" for all."""
        number = self._combo.currentIndex() - len(_PARTS) - len(self._layers)
        return self._classes[number] if 0 <= number < len(self._classes) else ""

    def choose_regions(self, class_name: str | None = "") -> None:
        """Choose committed regions that are offered, by their class; what is in view if None."""
        first = len(_PARTS) + len(self._layers)
        place = 0 if class_name is None else first + self._classes.index(class_name)
        self._combo.setCurrentIndex(place)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Tell before a press or a key opens or turns the row."""
        if event.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.FocusIn):
            self.choosing.emit()
        return super().eventFilter(watched, event)

    def regions(self, image: Image) -> tuple[Region, ...]:
        """The shapes that are chosen; none where anything else is.

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
        self._area = DrawnArea(viewer, image)
        self._area.draw(modes, self, self._on_drawn)

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

    @property
    def is_drawn(self) -> bool:
        """Whether there is a rectangle where one was asked for last."""
        layer = None if self._area is None else self._area.layer
        return layer is not None and len(layer.data) > 0

    def _on_drawn(self) -> None:
        self._draw.setChecked(False)
        self.ended.emit()
