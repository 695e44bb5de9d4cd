"""The files of a count: tables of cells and counts, outlines for QuPath, and how it was made.

All are written from the store some cells at a time, beside their place, and renamed when whole.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from histoprompt.core.atomic import replacing_file
from histoprompt.core.cell_table import UNCLASSIFIED
from histoprompt.core.classes import DEFAULT_CLASS, Classes
from histoprompt.core.contours import outlines
from histoprompt.core.geometry import Box, union_of
from histoprompt.core.task import Task
from histoprompt.pipelines.audit import TOTAL, Corrected
from histoprompt.pipelines.count_store import CountStore, Records
from histoprompt.pipelines.formats.geojson import geometry_of
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.ground import ALL
from histoprompt.pipelines.tally import Line

CELLS_CSV, CELLS_PARQUET, COUNTS_CSV = "cells.csv", "cells.parquet", "counts.csv"
CELLS_GEOJSON, LABELS_TIF = "cells.geojson", "labels.tif"
COUNT_COLUMNS = ("class", "count", "per_mm2", "analysed_mm2", "share", "region", "region_mm2")
AUDIT_COLUMNS = ("estimate", "low", "high")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "histoprompt/cells")
# Pixels a side of the piece of labels that outlines are read from at once.
_PIECE = 4096
_DECIMALS = {"row": 2, "col": 2, "area_um2": 3, "score": 4}


def write_cells_csv(path: Path, store: CountStore) -> None:
    """Write ``cells.csv``: id, row, col, area_um2, class, score, then the features."""
    schema = _schema(store)
    with replacing_file(path) as part, part.open("wb") as file:
        file.write((",".join(schema.names) + "\n").encode())
        plain = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")
        with arrow_csv.CSVWriter(file, schema, write_options=plain) as writer:
            for records in store.batches():
                writer.write_batch(_batch(records, store, schema, rounded=True))


def write_cells_parquet(path: Path, store: CountStore) -> None:
    """Write ``cells.parquet``: the columns of ``cells.csv`` in full precision, classes coded."""
    schema = _schema(store)
    with replacing_file(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for records in store.batches():
            writer.write_batch(_batch(records, store, schema))


def write_counts(
    path: Path,
    lines: tuple[Line, ...],
    *,
    denominator: str,
    complete: bool,
    corrected: Sequence[Corrected] = (),
) -> None:
    """Write ``counts.csv``: a line for all cells and for each class, in each place.

    `corrected` are the results of an audit of the whole place; the columns estimate, low and high
    are empty without.
    """
    audit = {ALL if c.name in (TOTAL, UNCLASSIFIED) else c.name: c for c in corrected}
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COUNT_COLUMNS, *AUDIT_COLUMNS, "denominator", "complete"])
        for x in lines:
            numbers = (_number(v) for v in (x.per_mm2, x.analysed_mm2, x.share))
            place = (x.region, _number(x.region_mm2))
            interval = _interval(audit.get(x.name) if x.region == ALL else None)
            how = (denominator, "yes" if complete else "no")
            writer.writerow([x.name, x.count, *numbers, *place, *interval, *how])


def write_cells_geojson(path: Path, store: CountStore, key: str, task: Task) -> None:
    """Write ``cells.geojson``: one QuPath detection a cell, with its class and measurements."""
    colours = Classes().palette(c or DEFAULT_CLASS for c in store.head.classes)
    head = {"type": "FeatureCollection"}
    with replacing_file(path) as part, JsonListFile(part, head, "features") as file:
        for done, records in enumerate(store.batches(2_000)):
            task.step(done * 2_000, len(store), "Writing outlines")
            for record, mask, box in _masks(store, records):
                name = store.head.classes[record["code"]] or DEFAULT_CLASS
                properties = _properties(record, store.head.names)
                properties["classification"] = {"name": name, "color": list(colours[name])}
                file.add(_feature(f"{key}/{record['id']}", _outlined(mask, box), properties))
        file.finish({})


def _outlined(mask: NDArray[np.bool_], box: Box) -> dict[str, Any]:
    """The geometry of a mask that lies at a box."""
    return geometry_of(outlines(mask, (int(box.r0), int(box.c0))))


def _feature(key: str, geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """One detection; the same cell of the same slide has the same id in QuPath."""
    identity = str(uuid.uuid5(_NAMESPACE, key))
    return {"type": "Feature", "id": identity, "geometry": geometry, "properties": properties}


def _properties(record: np.void, names: tuple[str, ...]) -> dict[str, Any]:
    measured = {"Area µm^2": round(float(record["area_um2"]), 3)}
    if np.isfinite(record["score"]):
        measured["Class score"] = round(float(record["score"]), 4)
    values = zip(names, record["features"].tolist(), strict=True)
    measured |= {name: float(f"{value:.5g}") for name, value in values if np.isfinite(value)}
    metadata = {"histoprompt_id": str(record["id"])}
    return {"objectType": "detection", "measurements": measured, "metadata": metadata}


def _masks(store: CountStore, records: Records) -> Iterator[tuple[np.void, NDArray[np.bool_], Box]]:
    """Each cell's mask; labels are read for neighbours together."""
    boxes = records["box"]
    piece = (boxes[:, :2] // _PIECE).astype(np.int64)
    order = np.lexsort((piece[:, 1], piece[:, 0]))
    starts = np.flatnonzero(np.any(np.diff(piece[order], axis=0, prepend=-1), axis=1))
    for group in np.split(order, starts[1:]):
        if not len(group):
            continue
        around = union_of(Box(*b) for b in boxes[group].tolist())
        ids = store.read(around)
        for i in group:
            box = Box(*boxes[i].tolist())
            yield records[i], ids[box.slices((around.r0, around.c0))] == records["id"][i], box


def _schema(store: CountStore) -> pa.Schema:
    numbers = [("id", pa.int64()), *((n, pa.float64()) for n in ("row", "col", "area_um2"))]
    text = pa.dictionary(pa.int16(), pa.string())
    features = [(name, pa.float32()) for name in store.head.names]
    return pa.schema([*numbers, ("class", text), ("score", pa.float32()), *features])


def _batch(
    records: Records, store: CountStore, schema: pa.Schema, *, rounded: bool = False
) -> pa.RecordBatch:
    def column(name: str) -> NDArray[Any]:
        values = np.ascontiguousarray(records[name])
        return np.round(values, _DECIMALS[name]) if rounded and name in _DECIMALS else values

    first = [pa.array(column(n)) for n in ("id", "row", "col", "area_um2")]
    classes = pa.DictionaryArray.from_arrays(column("code"), list(store.head.classes))
    features = records["features"].T
    if rounded:
        features = np.array([_significant(f) for f in features]).reshape(features.shape)
    arrays = [*first, classes, pa.array(column("score"))]
    arrays += [pa.array(np.ascontiguousarray(f)) for f in features]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _significant(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to what a column of this size can tell: six digits of its largest value."""
    largest = float(np.nanmax(np.abs(values), initial=1e-6)) if np.isfinite(values).any() else 1.0
    return np.round(values, int(np.clip(5 - np.floor(np.log10(max(largest, 1e-6))), 0, 10)))


def _interval(audit: Corrected | None) -> tuple[str, str, str]:
    """An audit's estimate and the ends of its interval; empty where there is none."""
    if audit is None:
        return "", "", ""
    low, high = ("" if v is None else f"{v:.1f}" for v in (audit.low, audit.high))
    return f"{audit.estimate:.1f}", low, high


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
