"""The files of a count: their names, its table of counts, and outlines for QuPath.

All are written from the store some cells at a time, beside their place, and renamed when whole.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_schema import COLUMNS
from histoprompt.core.cell_table import UNCLASSIFIED
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import table_writer
from histoprompt.core.geometry import Box, union_of
from histoprompt.core.labels.classes import DEFAULT_CLASS
from histoprompt.core.labels.contours import Outline, outlines_of_labels
from histoprompt.core.task import Task
from histoprompt.pipelines.audit.estimate import TOTAL, Corrected
from histoprompt.pipelines.count.region import ALL
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import Records
from histoprompt.pipelines.count.tally import TallyRow
from histoprompt.pipelines.formats.cell_tables import significant
from histoprompt.pipelines.formats.geojson import geometry_of
from histoprompt.pipelines.formats.json_files import JsonListFile

CELLS_CSV, CELLS_PARQUET, COUNTS_CSV = "cells.csv", "cells.parquet", "counts.csv"
CELLS_GEOJSON, LABELS_TIF = "cells.geojson", "labels.tif"
COUNT_COLUMNS = ("class", "count", "per_mm2", "analysed_mm2", "share", "region", "region_mm2")
AUDIT_COLUMNS = ("estimate", "low", "high")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "histoprompt/cells")
# Pixels a side of the piece of labels that outlines are read from at once.
_PIECE = 2048
# Of a measurement.
_DIGITS = 5


def write_counts(
    path: Path,
    lines: tuple[TallyRow, ...],
    *,
    denominator: str,
    complete: bool,
    corrected: Sequence[Corrected] = (),
) -> None:
    """Write ``counts.csv``: a line for all cells and for each class, in each place.

    `corrected` are the results of an audit of the whole place; the columns estimate, low and high
    are empty without.
    """
    audit = by_class(corrected)
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        head = [*COUNT_COLUMNS, *AUDIT_COLUMNS, "denominator", "complete"]
        write = table_writer(file, head, names=("class", "region"))
        for x in lines:
            numbers = (_number(v) for v in (x.per_mm2, x.analysed_mm2, x.share))
            place = (x.region, _number(x.region_mm2))
            interval = _interval(audit.get(x.name) if x.region == ALL else None)
            how = (denominator, "yes" if complete else "no")
            write([x.name, x.count, *numbers, *place, *interval, *how])


def by_class(corrected: Sequence[Corrected]) -> dict[str, Corrected]:
    """Results of an audit by the class in whose line of ``counts.csv`` they stand."""
    found = {ALL if c.name in (TOTAL, UNCLASSIFIED) else c.name: c for c in corrected}
    if len(corrected) == 1:  # all cells are of the one class there is
        found[ALL] = corrected[0]
    return found


def write_cells_geojson(path: Path, store: CountStore, key: str, task: Task) -> None:
    """Write ``cells.geojson``: one QuPath detection a cell, with its class and measurements."""
    colours = store.class_colours()
    head = {"type": "FeatureCollection"}
    done = 0
    with replacing_file(path) as part, JsonListFile(part, head, "features") as file:
        for records in store.batches(4_000):
            values = significant(records["features"], _DIGITS)
            for at, drawn in _drawn(store, records):
                task.step(done, len(store), "Writing outlines")
                done += len(at)
                for i in at:
                    name = store.head.classes[records["code"][i]]
                    properties = _properties(records[i], store.head.names, values[i])
                    properties["classification"] = {
                        "name": name or DEFAULT_CLASS,
                        "color": list(colours[name]),
                    }
                    geometry = geometry_of(drawn[int(records["id"][i])])
                    file.add(_feature(f"{key}/{records['id'][i]}", geometry, properties))
        file.finish({})


def _feature(key: str, geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """One detection; the same cell of the same slide has the same id in QuPath."""
    identity = str(uuid.uuid5(_NAMESPACE, key))
    return {"type": "Feature", "id": identity, "geometry": geometry, "properties": properties}


def _properties(
    record: np.void, names: tuple[str, ...], values: NDArray[np.float64]
) -> dict[str, Any]:
    measured = {
        c.measurement: round(float(record[c.attribute]), c.decimals)
        for c in COLUMNS
        if c.measurement and np.isfinite(record[c.attribute])
    }
    # what is no number is not measured: it equals nothing, not even itself
    measured |= {n: v for n, v in zip(names, values.tolist(), strict=True) if v == v}  # noqa: PLR0124
    metadata = {"histoprompt_id": str(record["id"])}
    return {"objectType": "detection", "measurements": measured, "metadata": metadata}


def _drawn(
    store: CountStore, records: Records
) -> Iterator[tuple[NDArray[np.intp], dict[int, list[Outline]]]]:
    """Cells that lie together, by their place in the records, and the outlines of each by id."""
    boxes = records["box"]
    piece = (boxes[:, :2] // _PIECE).astype(np.int64)
    order = np.lexsort((piece[:, 1], piece[:, 0]))
    starts = np.flatnonzero(np.any(np.diff(piece[order], axis=0), axis=1)) + 1
    for group in np.split(order, starts):
        around = union_of(Box(*b) for b in boxes[group].tolist())
        ids = store.read(around)
        wanted = np.where(np.isin(ids, records["id"][group]), ids, 0)
        yield group, outlines_of_labels(wanted, (int(around.r0), int(around.c0)))


def _interval(audit: Corrected | None) -> tuple[str, str, str]:
    """An audit's estimate and the ends of its interval; empty where there is none."""
    if audit is None:
        return "", "", ""
    low, high = ("" if v is None else f"{v:.1f}" for v in (audit.low, audit.high))
    return f"{audit.estimate:.1f}", low, high


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
