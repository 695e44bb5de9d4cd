"""The committed regions of a slide as places to count in."""

from __future__ import annotations

from collections.abc import Collection

from histoprompt.annotations.class_list import is_ignored
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.pipelines.count.ignored import ignored_areas, less, shape_of
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
    wanted = [
        Region(f"{record.class_name or 'region'} {record.id}", shape_of(regions, record))
        for record in regions.objects()
        if class_name in ("", record.class_name)
        and (not ids or record.id in ids)
        and not is_ignored(record.class_name)
    ]
    found = less(wanted, ignored_areas(store.on("objects")))
    if not found:
        of_class = f" of the class {class_name!r}" if class_name else ""
        raise RegionError(
            f"There is no committed region{of_class}, of {regions.count} on this slide. Draw one "
            "on its layer, or commit regions of a text."
        )
    return found
