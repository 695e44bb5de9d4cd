"""A layer of squares around tiles or cells that were pointed out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari.components import ViewerModel
from napari.layers import Image, Points

from histoprompt._qt.explore.layers import ExploreLayers
from histoprompt.core.geometry import Box


class Squares(ExploreLayers):
    """Squares on one slide.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide.
    name : str
        Of the layer.
    attach : callable, optional
        Given the layer when it is made to take clicks.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        name: str,
        attach: Callable[[Points], object] = lambda _: None,
    ) -> None:
        super().__init__(viewer, image, attach)
        self._name = name

    def taking_clicks(self) -> Points:
        """The layer, made if there is none, with its clicks served."""
        layer = self._present(self._name)
        if layer is None:
            layer = self._add(self._name)
            self._attach(layer)
        return layer

    def show(self, boxes: Sequence[Box]) -> None:
        """A square around each."""
        if boxes or self._present(self._name) is not None:
            self._fill(self.taking_clicks(), boxes)
