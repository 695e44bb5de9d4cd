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
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.labels.table import LabelTable
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.formats.polygons import to_polygons
from histoprompt.pipelines.formats.regions import Region

# Objects that are compared with areas at once: each takes some 300 bytes then.
_AT_ONCE = 1 << 16


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


def centred_in(
    areas: Sequence[Region], labels: LabelSource, table: LabelTable
) -> NDArray[np.bool_]:
    """Which objects have their centre in areas, as a count asks of its cells.

    Parameters
    ----------
    areas : sequence of Region
    labels : LabelSource
        Of level 0; only objects on an edge of an area are read.
    table : LabelTable
        The objects.

    Returns
    -------
    (n,) bool
    """
    found = np.zeros(len(table), bool)
    if not areas:
        return found
    whole = shapely.union_all([area.polygon for area in areas])
    shapely.prepare(whole)
    x0, y0, x1, y1 = shapely.bounds(whole)
    r0, c0, r1, c1 = table.boxes.T
    near = np.flatnonzero((r1 > y0) & (r0 < y1) & (c1 > x0) & (c0 < x1))
    for some in (near[n : n + _AT_ONCE] for n in range(0, len(near), _AT_ONCE)):
        boxes = shapely.box(c0[some], r0[some], c1[some], r1[some])
        found[some] = shapely.covers(whole, boxes)  # and with the box the centre
        edge = some[~found[some] & shapely.intersects(whole, boxes)]
        at = np.array([_centre(labels, table, row) for row in edge.tolist()]).reshape(-1, 2)
        found[edge] = shapely.contains_xy(whole, at[:, 1] + 0.5, at[:, 0] + 0.5)
    return found


def _centre(labels: LabelSource, table: LabelTable, row: int) -> tuple[float, float]:
    """The mean row and column of an object's pixels."""
    box = Box(*table.boxes[row].tolist())
    rows, cols = np.nonzero(labels.read(box) == table.ids[row])
    return float(box.r0 + rows.mean()), float(box.c0 + cols.mean())


def check_left(what: object, without: Sequence[Region]) -> None:
    """Refuse to count where nothing is left."""
    if not what:
        raise RegionError(
            f"All of the place lies in what is ignored ({without[0].name}). Choose another place, "
            "or give that area another class."
        )


def _mask(store: LabelStore, object_id: int, box: Box) -> NDArray[np.bool_]:
    return np.equal(store.read(box), object_id)
