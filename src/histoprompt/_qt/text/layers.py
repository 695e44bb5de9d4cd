"""The layers of the Text dock: heat maps, regions, marks and cells of regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from napari.utils import Colormap, DirectLabelColormap
from napari.utils.colormaps import AVAILABLE_COLORMAPS
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt._qt.count.layers import CELLS as COUNTED
from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.removing import take_away
from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Frame
from histoprompt.core.labels.classes import colours_of
from histoprompt.core.scores.drawn import drawn, is_even
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.scores.regions import region_raster

HEAT, REGIONS, MARKS, CELLS = "score: {}", "scored_regions", "tile_marks", "region_cells"
OPACITY = 0.6
OUTLINE = "#ffd60a"
# A tile takes so many array pixels a side in the layer of regions, so that their outlines are thin,
# and in that of heat where tiles are cut by the slide's edge; fewer where a layer would get larger
# than `_LARGEST` a side.
_FINE, _LARGEST = 32, 2048
# Opacity of the colour of score 0; it grows to full at one half, so that what does not fit stays
# readable. What was not scored has no colour at all.
_FAINT = 0.12
# Least and largest size of a cell on the screen, pixels: it is to be found from afar too.
_SEEN = (6, 40)


class ScoreLayers:
    """Shows the work on one slide; a layer the user removed is made again when it is needed.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide.
    attach : callable, optional
        Given the layer of marks and the slide's when the former is made, to serve its clicks.
    regions : str
        Name of the layer of regions.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        attach: Callable[[Points, Image], object] | None = None,
        regions: str = REGIONS,
    ) -> None:
        self._viewer, self._image, self._attach = viewer, image, attach
        self._regions = regions
        self._scores: ScoreMap | None = None
        self._cell_ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self._own: dict[str, Layer] = {}
        self._frames: dict[Layer, Frame] = {}

    @property
    def marks(self) -> Points | None:
        """The layer that takes clicks on tiles, if there is one."""
        return self._own.get(MARKS)

    def heat(self, text: str) -> Image | None:
        """The layer of heat maps, if it has one of this text; it shows one at a time."""
        known = self._scores is not None and text in self._scores.texts
        found = self._present(HEAT) if known else None
        return found if isinstance(found, Image) else None

    def show_maps(self, scores: ScoreMap, text: str) -> None:
        """Take the maps of all texts, and show that of one.

        One layer serves all texts: making one takes napari a second, filling it nothing.
        """
        self._scores = scores
        if self._present(HEAT) is None:
            layer = self._own[HEAT] = self._make_heat(scores, text)
            self._frames[layer] = _heat(scores, text)[1]
            self._add(layer, self._viewer.layers.index(self._image) + 1)
        self.choose(text)

    def keep(self, scores: ScoreMap) -> None:
        """Take maps that look as those on show do."""
        self._scores = scores

    def choose(self, text: str) -> None:
        """Show the heat map of this text."""
        layer, scores = self._present(HEAT), self._scores
        if layer is None or scores is None or text not in scores.texts:
            return
        picture, frame = _heat(scores, text)
        # what is the same is not sent to the graphics card again: a mark changes thresholds alone
        if not np.array_equal(picture, layer.data, equal_nan=True):
            layer.data = picture
        self._place(layer, frame)
        layer.name = HEAT.format(text)
        layer.metadata.update(layers.provenance(kind="heatmap", text=text, **scores.facts))
        if not (layer.visible and layer.colorbar.visible):
            layer.visible = layer.colorbar.visible = True

    def show_regions(self, scores: ScoreMap, text: str) -> int:
        """Outline the regions of a text; how many there are."""
        raster = region_raster(scores, text)
        labels, frame = drawn(raster, scores.grid, _FINE, _LARGEST)
        layer = self._present(REGIONS)
        if layer is None:
            layer = self._own[REGIONS] = self._make_regions(labels, frame)
            self._frames[layer] = frame
            self._add(layer)
        elif not np.array_equal(labels, layer.data):
            layer.data = labels
        self._place(layer, frame)
        layer.features = _features(raster, scores, text)
        cut = scores.thresholds[text]
        facts = {"threshold": cut.value, "threshold_from": cut.origin, **scores.facts}
        layer.metadata.update(layers.provenance(kind="regions", text=text, **facts))
        return int(raster.max(initial=0))

    def show_marks(self, scores: ScoreMap, marks: Mapping[int, bool]) -> None:
        """A green square around tiles marked yes, a red cross over those marked no."""
        layer = self._present(MARKS)
        if layer is None:
            layer = self._make_marks()
            self._own[MARKS] = layer
            if self._attach is not None:
                self._attach(layer, self._image)
            self._add(layer)
        layer.data = np.array([scores.box(t).centre for t in marks]).reshape(-1, 2)
        if marks:
            layer.size = [min(scores.box(tile).shape) for tile in marks]
            layer.border_color = [layers.GREEN if yes else layers.RED for yes in marks.values()]
            layer.symbol = ["square" if yes else "x" for yes in marks.values()]
        layer.selected_data = set()

    def show_cells(self, cells: CellTable) -> None:
        """The cells that were counted, coloured by class; an empty table takes the layer away.

        An answer of a review changes classes alone, and is given again and again: the layer stays.
        """
        layer = self._present(CELLS)
        if layer is None and COUNTED in self._viewer.layers:
            return  # the same cells are outlined where the Count dock works on them
        if not len(cells):
            self._drop(self._own.pop(CELLS, None))
            return
        palette = colours_of(cells)
        colours = (np.array([palette[name] for name in cells.classes]) / 255)[cells.code]
        facts = {
            "class": pd.Categorical.from_codes(cells.code, list(cells.classes)),
            "score": cells.score,
        }
        places = np.column_stack([cells.row, cells.col])
        if layer is None:
            layer = self._own[CELLS] = self._make_cells(places, colours, facts)
            self._add(layer)
        else:
            if not np.array_equal(self._cell_ids, cells.id):
                layer.data = places
            layer.features, layer.face_color = facts, colours
        self._cell_ids = cells.id

    def hide_maps(self) -> None:
        """Clear the view for what lies under heat maps; choosing a text shows its map again."""
        layer = self._present(HEAT)
        if layer is not None:
            layer.visible = layer.colorbar.visible = False

    def hide_cells(self) -> None:
        """Hide the cells: another layer shows them."""
        layer = self._present(CELLS)
        if layer is not None:
            layer.visible = False

    def bring(self, on: bool) -> None:
        """Show all that is there, or hide it while something else is looked at."""
        for name in self._own:
            layer = self._present(name)
            if layer is not None:
                layer.visible = on

    def clear(self) -> None:
        """Take all layers away."""
        for layer in self._own.values():
            self._drop(layer)
        self._own.clear()
        self._scores = None

    # -- making ------------------------------------------------------------------------------

    def _make_heat(self, scores: ScoreMap, text: str) -> Image:
        picture, frame = _heat(scores, text)
        layer = Image(
            picture,
            name=HEAT.format(text),
            colormap=_colours(),
            contrast_limits=(0.0, 1.0),
            opacity=OPACITY,
            blending="translucent",
            interpolation2d="nearest",
            metadata=layers.provenance(kind="heatmap", text=text),
            **layers.transform_of(self._image, frame),
        )
        layer.contrast_limits_range = (0.0, 1.0)
        return layer

    def _make_regions(self, labels: NDArray[np.int32], frame: Frame) -> Labels:
        layer = Labels(
            labels,
            name=self._regions,
            colormap=DirectLabelColormap(color_dict={None: OUTLINE, 0: "transparent"}),
            metadata=layers.provenance(kind="regions"),
            **layers.transform_of(self._image, frame),
        )
        layer.contour, layer.editable = 1, False
        return layer

    def _make_marks(self) -> Points:
        layer = Points(
            np.empty((0, 2)),
            ndim=2,
            name=MARKS,
            symbol="square",
            face_color="transparent",
            border_color=layers.GREEN,
            border_width=0.08,
            metadata=layers.provenance(kind="marks"),
            **layers.transform_of(self._image),
        )
        layer.editable = False
        return layer

    def _make_cells(
        self, places: NDArray[np.float64], colours: NDArray[np.float64], facts: dict[str, Any]
    ) -> Points:
        layer = Points(
            places,
            name=CELLS,
            size=16,
            canvas_size_limits=_SEEN,
            face_color=colours,
            border_width=0,
            features=facts,
            metadata=layers.provenance(kind="cells"),
            **layers.transform_of(self._image),
        )
        layer.editable = False
        return layer

    # -- the viewer's list -------------------------------------------------------------------

    def _present(self, name: str) -> Any:
        """Our layer of this name, unless the user removed it."""
        layer = self._own.get(name)
        return layer if layer is not None and layer in self._viewer.layers else None

    def _place(self, layer: Layer, frame: Frame) -> None:
        """Put a layer where its array lies; napari redraws all for that, so only when it moved."""
        if self._frames.get(layer) != frame:
            layers.move(layer, self._image, frame)
            self._frames[layer] = frame

    def _add(self, layer: Layer, at: int | None = None) -> None:
        """Add a layer without taking the selection away from the one in use."""
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(len(self._viewer.layers) if at is None else at, layer)
        if active is not None:
            self._viewer.layers.selection.active = active

    def _drop(self, layer: Layer | None) -> None:
        if layer is not None:
            self._frames.pop(layer, None)
            take_away(self._viewer, [layer])


def _heat(scores: ScoreMap, text: str) -> tuple[NDArray[np.float32], Frame]:
    """The heat map of a text and where it lies: not beyond the slide's edges."""
    fine = 1 if is_even(scores.grid) else _FINE
    return drawn(scores.raster(text), scores.grid, fine, _LARGEST)


def _features(raster: NDArray[np.int32], scores: ScoreMap, text: str) -> dict[str, Any]:
    """What the status bar says of a region."""
    index = np.arange(1, raster.max(initial=0) + 1)
    tiles = np.bincount(raster.ravel(), minlength=len(index) + 1)[1:]
    mean = ndi.mean(np.nan_to_num(scores.raster(text)), raster, index)
    pixels = ndi.sum(scores.grid.areas, raster, index)
    area = {"mm2": pixels * scores.mpp**2 / 1e6} if scores.mpp else {"pixels": pixels}
    names = np.full(len(index), text)
    return {"index": index, "text": names, "score": np.round(mean, 3), "tiles": tiles, **area}


def _colours() -> Colormap:
    """Viridis, clear where nothing fits."""
    steps = np.linspace(0, 1, 256)
    colours = AVAILABLE_COLORMAPS["viridis"].map(steps)
    colours[:, 3] = np.clip(_FAINT + (1 - _FAINT) * steps / 0.5, 0, 1)
    return Colormap(colours, name="fit")
