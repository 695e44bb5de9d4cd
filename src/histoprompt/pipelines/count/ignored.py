"""What a person committed as not to be counted: artefacts, folds, classes such as ``Ignore*``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.annotations.class_list import is_ignored
from histoprompt.annotations.objects import ObjectRecord
from histoprompt.annotations.place import store_folder
from histoprompt.annotations.planes import PLANES
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.contours import outlines_in
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.formats.polygons import to_polygons
from histoprompt.pipelines.formats.regions import Region


def ignored_of(slide: Slide) -> tuple[Region, ...]:
    """What is committed of a slide in ignored classes; none where nothing was committed.

    Raises
    ------
    LabelStoreError
        If the labels on disk are damaged.
    """
    if not (store_folder(slide.key) / "store.json").is_file():
        return ()
    with LabelStore.of(slide, read_only=True) as store:
        return ignored_areas(store)


def ignored_areas(store: LabelStore) -> tuple[Region, ...]:
    """The objects and regions of ignored classes, exactly along the edges of their pixels.

    Returns
    -------
    tuple of Region
        Named by class and id: ``Ignore* 3``.

    Raises
    ------
    LabelStoreError
        If the labels on disk are damaged.
    """
    found = []
    for plane in (store.on(name) for name in PLANES):
        if not any(map(is_ignored, plane.listed().class_names)):
            continue
        for record in plane.objects():
            if is_ignored(record.class_name):
                name = f"{record.class_name} {record.id}"
                found.append(Region(name, shape_of(plane, record), (), record.class_name))
    return tuple(found)


def shape_of(plane: LabelStore, record: ObjectRecord) -> shapely.Geometry:
    """An object or region along the edges of its pixels."""
    outlines = outlines_in(partial(_mask, plane, record.id), record.box)
    return shapely.union_all(to_polygons(outlines))


def less(regions: Sequence[Region], without: Sequence[Region]) -> list[Region]:
    """What is left of regions beside others; those of which nothing is left are left out."""
    found = []
    for region in regions:
        near = [w.polygon for w in without if shapely.intersects(w.polygon, region.polygon)]
        shape = shapely.difference(region.polygon, shapely.union_all(near)) if near else None
        if shape is None or not shape.is_empty:
            found.append(Region(region.name, region.polygon if shape is None else shape,
                                region.notes, region.class_name))  # fmt: skip
    return found


def clipped(regions: Sequence[Region], place: shapely.Geometry) -> tuple[Region, ...]:
    """The parts of regions that lie in a place; those that do not are left out."""
    cut = ((r, shapely.intersection(r.polygon, place)) for r in regions)
    return tuple(Region(r.name, s, (), r.class_name) for r, s in cut if shapely.area(s) > 0)


def check_left(what: object, without: Sequence[Region]) -> None:
    """Refuse to count where nothing is left."""
    if not what:
        raise RegionError(
            f"All of the place lies in what is ignored ({without[0].name}). Choose another place, "
            "or give that area another class."
        )


def _mask(store: LabelStore, object_id: int, box: Box) -> NDArray[np.bool_]:
    return np.equal(store.read(box), object_id)
