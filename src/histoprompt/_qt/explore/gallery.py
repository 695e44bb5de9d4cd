"""Hits as small pictures."""

from __future__ import annotations

from collections.abc import Sequence

from histoprompt._qt.widgets.picture_list import PictureList
from histoprompt.pipelines.explore.study import HitPicture

_SIDE, _HEIGHT = 56, 240


class HitGallery(PictureList):
    """Click a picture to go there; what is picked is the number of a hit, from 0."""

    def __init__(self) -> None:
        super().__init__(_SIDE)
        self.setFixedHeight(_HEIGHT)
        self.setToolTip("The best hits with their scores; click one to go there")

    def show_pictures(self, pictures: Sequence[HitPicture]) -> None:
        """Show these hits, the best first."""
        self.clear()
        for number, one in enumerate(pictures):
            item = self.add(one.picture, f"{one.hit.score:.2f}", number)
            item.setToolTip(f"{one.hit.rank}. {one.hit.name}")
