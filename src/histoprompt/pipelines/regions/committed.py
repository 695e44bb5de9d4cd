"""The committed regions of a slide as places to count in."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.annotations.class_list import is_ignored
from histoprompt.annotations.objects import ObjectRecord
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.contours import outlines_in
from histoprompt.pipelines.formats.polygons import to_polygons
from histoprompt.pipelines.formats.regions import Region


def committed_regions(
    store: LabelStore, class_name: str = "", ids: Collection[int] = ()
) -> list[Region]:
    """The regions of a label store, exactly along the edges of their pixels.

    What is of an ignored class (``Ignore*``, ``Artefact*``) is left out: such a region is none to
    count in, and such an object is cut out of the region it lies in, with its area.

    Parameters
    ----------
    store : LabelStore
        On either plane.
    class_name : str
        Only those of this class; all if empty.
    ids : collection of int
        Only these; all if empty.

    Returns
    -------
    list of Region
        By id, named by class and id: ``tumour 3``; ``region 3`` without a class.

    Raises
    ------
    RegionError
        If there is none.
    LabelStoreError
        If the labels on disk are damaged.
    """
    regions = store.on("regions")
    if is_ignored(class_name):
        raise RegionError(
            f"Regions of the class {class_name!r} are ignored: its name ends with an asterisk. "
            "Rename the class to count in them."
        )
    without = [(record.box, _shape(store, record)) for record in store.objects() if _out(record)]
    found = []
    for record in regions.objects():
        if class_name not in ("", record.class_name) or (ids and record.id not in ids):
            continue
        if _out(record):
            continue
        cut = [shape for box, shape in without if box.intersection(record.box)]
        shape = shapely.difference(_shape(regions, record), shapely.union_all(cut))
        if not shape.is_empty:
            found.append(Region(f"{record.class_name or 'region'} {record.id}", shape))
    if not found:
        of_class = f" of the class {class_name!r}" if class_name else ""
        raise RegionError(
            f"There is no committed region{of_class}, of {regions.count} on this slide. Draw one "
            "on its layer, or commit regions of a text."
        )
    return found


def _out(record: ObjectRecord) -> bool:
    return is_ignored(record.class_name)


def _shape(plane: LabelStore, record: ObjectRecord) -> shapely.Geometry:
    """An object or region along the edges of its pixels."""
    outlines = outlines_in(partial(_mask, plane, record.id), record.box)
    return shapely.union_all(to_polygons(outlines))


def _mask(store: LabelStore, object_id: int, box: Box) -> NDArray[np.bool_]:
    return np.equal(store.read(box), object_id)
