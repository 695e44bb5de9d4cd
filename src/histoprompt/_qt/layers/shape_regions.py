"""Shapes that somebody drew in napari, as regions of a slide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.formats.regions import Region, free_name

# Corners of an ellipse.
_CORNERS = 64
# Columns of a layer's table that may hold the name of a shape.
_NAMES = ("name", "class", "classification", "label")
_AREAS = ("rectangle", "ellipse", "polygon")


def regions_of(layer: Shapes, image: Image) -> tuple[Region, ...]:
    """The shapes of a layer that have an area: rectangles, ellipses and polygons.

    Parameters
    ----------
    layer : Shapes
        It may lie at another scale or place than the slide.
    image : Image
        The slide's layer.

    Returns
    -------
    tuple of Region
        Named by the layer's table, else by the layer; a name that comes again gets a number.
    """
    found: list[Region] = []
    for number, outline in _outlines(layer):
        corners = _on_slide(layer, image, outline)
        # positions of pixels' centres become positions of the plane, whose first corner is (0, 0)
        polygon = shapely.make_valid(shapely.Polygon(corners[:, ::-1] + 0.5))
        parts = [p for p in shapely.get_parts(polygon) if isinstance(p, shapely.Polygon)]
        whole = shapely.union_all(parts)
        if shapely.area(whole) >= 1:
            name = free_name(_name(layer, number), {r.name for r in found})
            found.append(Region(name, whole))
    return tuple(found)


def drawn_layers(viewer: ViewerModel) -> list[Shapes]:
    """The Shapes layers of a viewer that a person made, none of the plugin's own."""
    shapes = (layer for layer in viewer.layers if isinstance(layer, Shapes))
    return [layer for layer in shapes if "histoprompt" not in layer.metadata]


def chosen_regions(viewer: ViewerModel, image: Image) -> tuple[Region, ...]:
    """The shapes of the layers of `drawn_layers` that are selected in the list of layers."""
    chosen = [layer for layer in drawn_layers(viewer) if layer in viewer.layers.selection]
    return tuple(region for layer in chosen for region in regions_of(layer, image))


def regions_in(layer: Shapes, image: Image) -> tuple[Region, ...]:
    """As `regions_of`, of a layer that somebody chose to say where.

    Raises
    ------
    RegionError
        If it holds no shape with an area.
    """
    found = regions_of(layer, image)
    if not found:
        raise RegionError(
            f"The layer {layer.name} holds no rectangle, ellipse or polygon: draw one, or choose "
            "another layer. Lines and paths have no area."
        )
    return found


def _outlines(layer: Shapes) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Number and (n, 2) corners of each shape with an area, in coordinates of the layer."""
    for number, (corners, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
        points = np.asarray(corners, float)[:, -2:]
        if kind not in _AREAS or len(points) < 3:
            continue
        yield number, corners_of(points, kind)


def corners_of(points: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """The (n, 2) corners of a shape; napari keeps of an ellipse the corners of its box."""
    if kind != "ellipse":
        return points
    middle, angle = points.mean(axis=0), np.linspace(0, 2 * np.pi, _CORNERS, False)
    down, across = (points[3] - points[0]) / 2, (points[1] - points[0]) / 2
    return middle + np.outer(np.cos(angle), down) + np.outer(np.sin(angle), across)


def _on_slide(layer: Shapes, image: Image, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level-0 (row, col) of points of a layer."""
    blank = np.zeros(layer.ndim - 2)
    there = [image.world_to_data(layer.data_to_world((*blank, *p))[-2:])[-2:] for p in points]
    return np.asarray(there, float)


def _name(layer: Shapes, number: int) -> str:
    for column in _NAMES:
        if column in layer.features:
            told = tidy(str(layer.features[column].iloc[number]))
            if told and told.lower() != "nan":
                return told
    return tidy(layer.name) or "region"
