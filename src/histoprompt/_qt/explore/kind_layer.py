"""A layer of kinds of tissue, scenes or classes: each tile in the colour of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils import DirectLabelColormap
from numpy.typing import NDArray

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.removing import take_away
from histoprompt.core.geometry import Frame
from histoprompt.core.labels.classes import Colour
from histoprompt.core.scores.drawn import drawn, is_even
from histoprompt.core.scores.map import ScoreMap

_OPACITY = 0.45
# Picture pixels per side of a tile where tiles are cut by the slide's edge, and a side at most.
_FINE, _LARGEST = 32, 2048
UNSURE_GREY = (128, 128, 128)


class Kind(Protocol):
    """What a list says of a kind of tissue: its name, colour, and mm² on the open slide."""

    @property
    def name(self) -> str: ...

    @property
    def colour(self) -> Colour: ...

    @property
    def here(self) -> float: ...


class KindLayer:
    """Shows the kinds of tissue on one slide; made again when it is needed and the user removed it.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide.
    name : str
        Of the layer, and of what it shows.
    """

    def __init__(self, viewer: ViewerModel, image: Image, name: str) -> None:
        self._viewer, self.image, self._name = viewer, image, name
        self._layer: Labels | None = None

    def show(self, tiles: ScoreMap, lines: Sequence[Kind], unsure: int = 0) -> None:
        """Show the number of each tile's kind, from 1, in the colours of their lines.

        Tiles of the number `unsure`, if it is not 0, are grey: nobody has said what they are.
        """
        numbers, frame = _numbers(tiles)
        layer = self._layer
        if layer is None or layer not in self._viewer.layers or layer.data.shape != numbers.shape:
            self.clear()
            layer = self._layer = self._make(numbers.shape, frame)
        layer.data = numbers
        layers.move(layer, self.image, frame)
        colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
        for number, line in enumerate(lines, 1):
            colours[number] = np.append(line.colour, 255) / 255
        if unsure:
            colours[unsure] = np.append(UNSURE_GREY, 255) / 255
        layer.colormap = DirectLabelColormap(color_dict=colours)
        layer.features = {
            "index": range(1, len(lines) + 1),
            "name": [line.name for line in lines],
            "mm2": [round(line.here, 4) for line in lines],
        }
        layer.metadata.update(layers.provenance(kind=self._name, **tiles.facts))

    def bring(self, on: bool) -> None:
        """Show the layer, or hide it while something else is looked at."""
        if self._layer is not None:
            self._layer.visible = on

    def clear(self) -> None:
        """Take the layer away."""
        if self._layer is not None:
            take_away(self._viewer, [self._layer])
        self._layer = None

    def _make(self, shape: tuple[int, ...], frame: Frame) -> Labels:
        layer = Labels(
            np.zeros(shape, np.int32),
            name=self._name,
            opacity=_OPACITY,
            metadata=layers.provenance(kind=self._name),
            **layers.transform_of(self.image, frame),
        )
        layer.editable = False
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._viewer.layers.index(self.image) + 1, layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer


def _numbers(tiles: ScoreMap) -> tuple[NDArray[np.int32], Frame]:
    """The number of each tile's kind, 0 for none, and where they lie on the slide."""
    raster = np.nan_to_num(tiles.raster(tiles.texts[0])).astype(np.int32)
    return drawn(raster, tiles.grid, 1 if is_even(tiles.grid) else _FINE, _LARGEST)
