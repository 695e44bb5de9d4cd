"""The layers of the Explore dock besides heat map and regions: examples, and hits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points

from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.removing import take_away
from histoprompt.core.geometry import Box

EXAMPLES, HITS = "like_examples", "like_hits"
_HIT = "#ffd60a"
# A cross over a tile would hide it: it takes this share of its side.
_CROSS = 0.3


class Shows(Protocol):
    """Layers, or what has some, that can be hidden while something else is looked at."""

    def bring(self, on: bool) -> None: ...


def bring_all(shown: Iterable[Shows | None], on: bool) -> None:
    """Show the layers there are, or hide them."""
    for one in shown:
        if one is not None:
            one.bring(on)


class ExploreLayers:
    """Squares around examples and hits on one slide.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide.
    attach : callable
        Given the layer of examples when it is made, to serve its clicks.
    """

    def __init__(
        self, viewer: ViewerModel, image: Image, attach: Callable[[Points], object]
    ) -> None:
        self._viewer, self.image, self._attach = viewer, image, attach
        self._own: dict[str, Points] = {}

    def examples(self) -> Points:
        """The layer that takes clicks, made if there is none."""
        layer = self._present(EXAMPLES)
        if layer is None:
            layer = self._add(EXAMPLES)
            self._attach(layer)
        return layer

    def show_examples(self, boxes: Sequence[Box], like: Sequence[bool]) -> None:
        """A green square around what is meant, a red cross over what is not."""
        if not boxes and self._present(EXAMPLES) is None:
            return
        layer = self.examples()
        self._fill(layer, boxes)
        if boxes:
            layer.border_color = [layers.GREEN if yes else layers.RED for yes in like]
            layer.symbol = ["square" if yes else "x" for yes in like]
            layer.size = [
                min(box.shape) * (1 if yes else _CROSS)
                for box, yes in zip(boxes, like, strict=True)
            ]

    def show_hits(self, boxes: Sequence[Box]) -> None:
        """A square around each hit."""
        if not boxes and self._present(HITS) is None:
            return
        layer = self._present(HITS)
        self._fill(self._add(HITS) if layer is None else layer, boxes)

    def bring(self, on: bool) -> None:
        """Show the layers, or hide them while something else is looked at."""
        for layer in self._own.values():
            layer.visible = on

    def clear(self) -> None:
        """Take the layers away."""
        take_away(self._viewer, [one for one in self._own.values() if one in self._viewer.layers])
        self._own.clear()

    def _fill(self, layer: Points, boxes: Sequence[Box]) -> None:
        layer.data = np.array([box.centre for box in boxes]).reshape(-1, 2)
        if boxes:
            layer.size = [min(box.shape) for box in boxes]
        layer.selected_data = set()

    def _present(self, name: str) -> Points | None:
        layer = self._own.get(name)
        return layer if layer is not None and layer in self._viewer.layers else None

    def _add(self, name: str) -> Points:
        layer = Points(
            np.empty((0, 2)),
            ndim=2,
            name=name,
            symbol="square",
            face_color="transparent",
            border_color=_HIT,
            border_width=0.03,
            metadata=layers.provenance(kind="marks"),
            **layers.transform_of(self.image),
        )
        layer.editable = False
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        self._own[name] = layer
        return layer
