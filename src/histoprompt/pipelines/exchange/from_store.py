"""Export of the committed objects of a slide, with the classes people gave them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.class_list import is_ignored
from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.names_of import NamesOf
from histoprompt.core.labels.sources import LabelSource
from histoprompt.core.labels.table import scan
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, ExportReport, export
from histoprompt.pipelines.formats.job import Regions


def export_store(
    slide: Slide, store: LabelStore, out: Path, params: ExportParams, task: Task
) -> ExportReport:
    """Export what a label store holds; arguments and errors as for `export`.

    Objects of ignored classes are left out. GeoJSON also has the regions, and which region each
    object lies in.

    Edits made meanwhile are either in the export or end it with an error; they are never lost.
    """
    labels, classes = shown_labels(store)
    regions = None
    if params.format == "geojson" and store.on("regions").count:
        areas, names = shown_labels(store.on("regions"))
        table = scan(areas, task)
        known = set(table.ids.tolist())
        parents = {i: region for i, region in store.parents().items() if region in known}
        regions = Regions(areas, names, table, parents)
    return export(slide, labels, out, params, task, classes=classes, regions=regions)


class _WithoutIgnored:
    """The labels of a plane, without the objects of ignored classes."""

    def __init__(self, store: LabelStore, ignored: NDArray[np.uint32]) -> None:
        self._store = store
        self._ignored = ignored
        self.shape: tuple[int, int] = store.shape
        self.origin: tuple[int, int] | None = store.origin

    def read(self, box: Box) -> NDArray[np.uint32]:
        labels = self._store.read(box)
        labels[np.isin(labels, self._ignored)] = 0
        return labels

    def filled_boxes(self) -> Iterable[Box]:
        return self._store.filled_boxes()


def shown_labels(store: LabelStore) -> tuple[LabelSource, Classes]:
    """What is exported of a plane, and its classes in their colours."""
    there = store.listed()
    ignored, named = (
        np.array([told(name) for name in there.class_names], bool)[there.classes]
        for told in (is_ignored, bool)
    )
    colours = {item.name: item.colour for item in store.class_list()}
    kept = named & ~ignored
    names = NamesOf(there.ids[kept], there.classes[kept], there.class_names)
    source = _WithoutIgnored(store, there.ids[ignored]) if ignored.any() else store
    return source, Classes(names, colours)
