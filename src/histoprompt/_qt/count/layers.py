"""The layers of a count: cells in the colours of their classes, and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from napari.utils import DirectLabelColormap

from histoprompt._qt.count.class_colours import colormap_of
from histoprompt._qt.layers.make import provenance, transform_of
from histoprompt._qt.layers.removing import take_away
from histoprompt.core.cell_schema import ID, PLACE_COLUMNS
from histoprompt.core.cell_table import CellTable
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.labels.classes import colours_of
from histoprompt.core.tissue.find import BLUR, GLASS, PEN
from histoprompt.pipelines.count.kept import KeptCount, waiting
from histoprompt.pipelines.count.shown_labels import ShownLabels

CELLS, LEFT_OUT, GIVEN, CHOSEN = "counted_cells", "left_out", "labelled_cells", "chosen_cell"
_YELLOW = "#ffd60a"
WAITING = "not counted yet"
_BLACK = "#000000"
_COLOURS = {GLASS: "#7f7f7f", PEN: "#1f3fff", BLUR: "#ff7f0e"}


class CountLayers:
    """Makes, fills and removes the layers of one count.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The slide's layer, whose place the others share.

    Attributes
    ----------
    legend : dict of str to str
        What the layer of left-out parts shows, and its colours.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self.viewer, self.image = viewer, image
        self._made: dict[str, Layer] = {}
        self._work: KeptCount | None = None
        self._coloured: CellTable | None = None
        self._given: tuple[dict[int, str], tuple[str, ...]] = ({}, ())
        self.legend: dict[str, str] = {}

    @property
    def cells(self) -> Labels | None:
        """The cells, if a count is shown."""
        layer = self.made(CELLS)
        return layer if isinstance(layer, Labels) else None

    def show(self, work: KeptCount, cells: CellTable) -> Labels:
        """Show a count in place of the one before."""
        self.remove()
        self._work = work
        self.legend = _left_out(work)
        if self.legend:
            self.add(_left_out_layer(work, self.legend, self.image))
        region = work.ground.box
        frame = Frame(region, region.shape)
        levels = self._levels(work)
        layer = Labels(
            levels if len(levels) > 1 else levels[0],
            multiscale=len(levels) > 1,
            name=CELLS,
            opacity=0.55,
            colormap=colormap_of(cells),
            metadata=provenance(kind="count", folder=str(work.folder)),
            **transform_of(self.image, frame),
        )
        layer.editable = False
        layer.features = _features(cells)
        self.add(layer)
        self._coloured = None
        self.recolour(cells)
        self.viewer.layers.selection.active = layer
        return layer

    def recount(self, work: KeptCount, cells: CellTable) -> None:
        """Show the same count after its cells were corrected."""
        self._work = work
        layer = self.cells
        if layer is not None:
            self.recolour(cells)
            layer.refresh()

    def _levels(self, work: KeptCount) -> list[ShownLabels]:
        """The labels of a count, in which corrections show as they are made."""
        log, store = work.log, work.progress.store
        return [
            ShownLabels(level, 2**k, store.origin, lambda: None if log is None else log.now)
            for k, level in enumerate(work.levels)
        ]

    def recolour(self, cells: CellTable) -> None:
        """Show the classes that cells have now; nothing is done where these are shown."""
        layer = self.cells
        if layer is None or cells is self._coloured:
            return
        self._coloured = cells
        if not np.array_equal(layer.features["index"], cells.id):
            layer.features = _features(cells)
        features = layer.features
        features["class"] = pd.Categorical.from_codes(cells.code, list(cells.classes))
        features["score"] = cells.score
        wanted = colormap_of(cells)
        wanted.show(cells.id, cells.code)
        # Setting a map looks up what is in view and sends the colours to the graphics card.
        layer.colormap = wanted
        layer.events.features()

    def show_given(self, cells: CellTable, labels: Mapping[int, str]) -> None:
        """Mark the cells a person gave a class to; nothing is drawn anew where that is so."""
        given = dict(labels), cells.classes
        if given == self._given and (not labels or self.made(GIVEN) is not None):
            return
        self._given = given
        layer = self._discs(GIVEN, 12) if labels else self.made(GIVEN)
        if not isinstance(layer, Points):
            return
        rows = np.flatnonzero(np.isin(cells.id, np.array(list(labels), np.int64)))
        layer.data = np.stack([cells.row[rows], cells.col[rows]], axis=1)
        names = [labels[int(i)] for i in cells.id[rows]]
        colours = colours_of(cells, sorted(names))
        if len(rows):
            layer.face_color = np.array([colours[name] for name in names]) / 255

    def choose(self, at: tuple[float, float] | None, fly: bool = False) -> None:
        """Ring a place on the slide, level-0 (row, col), and look at it if wanted."""
        layer = self.made(CHOSEN) if at is None else self._discs(CHOSEN, 60)
        if not isinstance(layer, Points):
            return
        layer.data = np.empty((0, 2)) if at is None else np.array([at])
        if at is not None and fly:
            self.look_at(at)

    def look_at(self, at: tuple[float, float], extent: float | None = None) -> None:
        """Move the camera to a level-0 place, near enough to see a cell (or so many pixels)."""
        camera, step = self.viewer.scene.camera, float(self.image.scale[-1])
        camera.center = (0, *self.image.data_to_world(at)[-2:])
        if extent is not None:
            camera.zoom = min(self.viewer.canvas.size) * 0.8 / (extent * step)
        else:
            camera.zoom = max(camera.zoom, 2.0 / step)

    def outline(self, only: bool) -> None:
        """Show outlines of cells alone, so that one sees what is in them."""
        layer = self.cells
        if layer is not None:
            layer.contour = 2 if only else 0

    def made(self, name: str) -> Layer | None:
        """The layer of this name if it was added here and is still there."""
        layer = self._made.get(name)
        return layer if layer is not None and layer in self.viewer.layers else None

    def add(self, layer: Layer) -> None:
        """Add a layer that goes when the count goes."""
        self._made[layer.name] = layer
        self.viewer.add_layer(layer)

    def place_of(self, world: Any) -> tuple[float, float]:
        """The level-0 (row, col) of a place of the canvas."""
        row, col = (float(v) for v in self.image.world_to_data(world)[-2:])
        return row, col

    def id_at(self, world: Any) -> int:
        """The cell at a place of the canvas, 0 if none."""
        return self.cell_at(self.place_of(world))

    def cell_at(self, place: tuple[float, float]) -> int:
        """The cell at a level-0 (row, col), 0 if none."""
        row, col = (round(v) for v in place)
        box = Box(row, col, row + 1, col + 1)
        if self._work is None or not self._work.ground.box.covers(box):
            return 0
        return int(self._work.progress.store.read(box)[0, 0])

    def remove(self) -> None:
        """Take the layers away."""
        made, self._made, self._work, self.legend = self._made, {}, None, {}
        self._given = ({}, ())
        take_away(self.viewer, made.values())

    def _discs(self, name: str, size: int) -> Layer | None:
        """The layer of small discs on cells, or of a wide ring around one, made when wanted."""
        found, active = self.made(name), self.viewer.layers.selection.active
        if found is None and self.cells is not None:
            found = self._points(name, size)
            self.add(found)
            # the layer in use stays the one in use
            self.viewer.layers.selection.active = active
        return found

    def _points(self, name: str, size: int) -> Points:
        given = name == GIVEN
        return Points(
            np.empty((0, 2)),
            ndim=2,
            name=name,
            size=size,
            face_color="transparent",
            border_color="white" if given else _YELLOW,
            border_width=0.1 if given else 0.06,
            metadata=provenance(kind="pointer"),
            **transform_of(self.image),
        )


def _features(cells: CellTable) -> pd.DataFrame:
    """The table of napari: rows are found by the column index, the id of the cell."""
    measured = pd.DataFrame(cells.features, columns=list(cells.feature_names))
    places = {c.name: getattr(cells, c.attribute) for c in PLACE_COLUMNS if c is not ID}
    first = {"index": cells.id, **places}
    return pd.concat([pd.DataFrame(first), measured], axis=1)


def _left_out(work: KeptCount) -> dict[str, str]:
    """What is not part of a count, by name, with colours."""
    masks = {} if work.ground.user_drawn else work.ground.tissue.excluded
    names = [name for name, mask in masks.items() if mask.any()]
    if not work.complete:
        names.append(WAITING)
    return {name: _COLOURS.get(name, _BLACK) for name in names}


def _left_out_layer(work: KeptCount, legend: Mapping[str, str], image: Image) -> Labels:
    """What is not part of a count over the whole slide, on the overview of its tissue."""
    tissue = work.ground.tissue
    shown = np.zeros(tissue.frame.shape, np.uint8)
    for value, name in enumerate(legend, start=1):
        shown[waiting(work) if name == WAITING else tissue.excluded[name]] = value
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    return Labels(
        shown,
        name=LEFT_OUT,
        opacity=0.35,
        colormap=DirectLabelColormap(color_dict=colours | dict(enumerate(legend.values(), 1))),
        features=pd.DataFrame({"index": range(1, len(legend) + 1), "left out": list(legend)}),
        metadata=provenance(kind="left out"),
        **transform_of(image, tissue.frame),
    )
