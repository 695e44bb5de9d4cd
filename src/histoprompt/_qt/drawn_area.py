"""A rectangle drawn on a slide to say: work here."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image, Shapes

from histoprompt._qt import layers
from histoprompt.core.geometry import Box

AREA = "drawn_area"
_COLOUR = "#f0a30a"


class DrawnArea:
    """The layer of the rectangle, one for an image, made when it is wanted.

    Docks of one viewer share it.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self._image = viewer, image

    @property
    def layer(self) -> Shapes | None:
        """The layer, if it is there."""
        for layer in self._viewer.layers:
            facts = layer.metadata.get("histoprompt", layers.NONE_GIVEN)
            if isinstance(layer, Shapes) and facts.get("area_of") == self._image.unique_id:
                return layer
        return None

    def draw(self) -> None:
        """Let the user drag a rectangle."""
        layer = self.layer
        if layer is None:
            layer = self._make()
            self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"

    def box(self, bounds: Box) -> Box | None:
        """The last rectangle, in whole level-0 pixels inside `bounds`; None if there is none."""
        layer = self.layer
        drawn = [] if layer is None else layers.read_boxes(layer)
        inside = drawn[-1].to_pixels().intersection(bounds) if drawn else None
        return None if inside is None else inside.to_pixels()

    def _make(self) -> Shapes:
        return Shapes(
            ndim=2,
            name=AREA,
            edge_color=_COLOUR,
            edge_width=3,
            face_color="transparent",
            metadata=layers.provenance(kind="area", area_of=self._image.unique_id),
            **layers.transform_of(self._image),
        )
