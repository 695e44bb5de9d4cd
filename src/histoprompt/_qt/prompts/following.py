"""The work area of an annotator: it follows the view, as far as what is in hand lets it."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers import work_area
from histoprompt._qt.prompts.committed import CommittedObjects
from histoprompt._qt.prompts.drawing import Drawing
from histoprompt._qt.prompts.in_hand import InHand
from histoprompt._qt.prompts.nuclei import Nuclei
from histoprompt.core.geometry import Box, Frame


class Following:
    """Moves the layers of an annotator over its slide.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
    bounds : Box
        The slide.
    planes
        Committed objects, and regions.
    nuclei, hand, drawing
        Whose layers they are.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        bounds: Box,
        *,
        planes: tuple[CommittedObjects, CommittedObjects],
        nuclei: Nuclei,
        hand: InHand,
        drawing: Drawing,
    ) -> None:
        self._viewer, self._image, self._bounds = viewer, image, bounds
        self._planes, self._nuclei = planes, nuclei
        self._hand, self._drawing = hand, drawing

    def follow(self) -> None:
        """Move the work area to what is seen; while prompts are in hand, the objects' alone.

        Scribbles and the mask in hand are arrays of the area they were made in.
        """
        self._nuclei.look()
        free, view = self._hand.free, work_area.view_box(self._viewer, self._image)
        shown = self._hand.area if free else self._planes[0].area
        if not work_area.suits(shown, view, self._bounds):
            shown = work_area.area_for(view, self._bounds)
        if free and self._hand.area != shown:
            self.move_to(shown)
        elif self._planes[0].area != shown:
            self._show(shown)
            self._nuclei.move()

    def move_to(self, area: Frame) -> None:
        """Make another part of the slide editable."""
        self._show(area)
        self._nuclei.move()
        self._hand.move(area)

    def _show(self, area: Frame) -> None:
        for plane in self._planes:
            plane.show(area)

    def rescale(self) -> None:
        """Lie on the image as it is scaled now, with what is in hand."""
        for plane in self._planes:
            layers.move(plane.layer, self._image, plane.area)
        layers.move(self._hand.preview.layer, self._image, self._hand.area)
        self._hand.prompts.move(self._hand.area)
        self._drawing.move()
