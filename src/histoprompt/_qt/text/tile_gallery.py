"""Small pictures of the tiles that fit a text best."""

from __future__ import annotations

from collections.abc import Sequence

from histoprompt._qt.widgets.picture_list import PictureList
from histoprompt.pipelines.text.gallery import TilePicture

_SIDE, _HEIGHT = 56, 164


class TileGallery(PictureList):
    """Click a picture to go there; what is picked is the index of a tile."""

    def __init__(self) -> None:
        super().__init__(_SIDE)
        self.setFixedHeight(_HEIGHT)
        self.setToolTip("The tiles that fit best, with their scores; click one to go there")

    def show_pictures(self, pictures: Sequence[TilePicture]) -> None:
        """Show these tiles, best first."""
        self.clear()
        for found in pictures:
            self.add(found.picture, f"{found.score:.2f}", found.tile)
