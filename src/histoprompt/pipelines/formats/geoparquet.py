"""GeoParquet 1.1: a table of objects with outlines in well-known binary, in level-0 pixels.

(x, y), the corner of the first pixel at (0, 0), as in our GeoJSON; geopandas and DuckDB open it.
The positions belong to no place on earth, so ``crs`` is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.core.geometry import Box
from histoprompt.pipelines.formats.annotation import Annotation, Reading
from histoprompt.pipelines.formats.job import ExportJob, Written
from histoprompt.pipelines.formats.polygons import to_polygons

FILE = "objects.parquet"
_ROWS = 4096
_SCHEMA = pa.schema(
    [
        ("id", pa.uint32()),
        ("class", pa.string()),
        ("area_px", pa.int64()),
        ("area_um2", pa.float64()),
        ("row", pa.float64()),
        ("col", pa.float64()),
        ("geometry", pa.binary()),
    ]
)


def matches(path: Path) -> bool:
    """Whether a file is Parquet with a geometry."""
    if head_of(path, 4) != b"PAR1":
        return False
    try:
        return "geometry" in pq.read_schema(path).names
    except (OSError, pa.ArrowException):
        return False


def read(reading: Reading) -> Iterator[Annotation]:
    """The objects of a table with the column ``geometry``, and ``id`` and ``class`` if it has them.

    Raises
    ------
    LabelError
        If it cannot be read.
    """
    try:
        with pq.ParquetFile(reading.path) as file:
            wanted = [c for c in ("id", "class", "geometry") if c in file.schema_arrow.names]
            number = 0
            for batch in file.iter_batches(_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield from _object(reading, f"row {number}", row)
    except (OSError, pa.ArrowException) as error:
        raise LabelError(f"{reading.path.name} cannot be read: {error}.") from error


def write(job: ExportJob) -> Written:
    """Write ``objects.parquet``."""
    meta = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Polygon", "MultiPolygon"],
                "crs": None,
            }
        },
    }
    about = {b"geo": json.dumps(meta), b"histoprompt": json.dumps(job.provenance())}
    with pq.ParquetWriter(job.folder / FILE, _SCHEMA.with_metadata(about)) as file:
        rows: list[dict[str, Any]] = []
        for label, box, area in job.objects("Writing outlines"):
            rows.append(_row(job, label, box, area))
            if len(rows) == _ROWS:
                file.write_table(pa.Table.from_pylist(rows, _SCHEMA))
                rows = []
        file.write_table(pa.Table.from_pylist(rows, _SCHEMA))
    return Written((FILE,))


def _row(job: ExportJob, label: int, box: Box, area: int) -> dict[str, Any]:
    polygons = to_polygons(job.outlines(label, box), job.params.simplify)
    shape = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    middle, mpp = shape.centroid, job.slide.mpp
    return {
        "id": label,
        "class": job.classes.of(label) or None,
        "area_px": area,
        "area_um2": None if mpp is None else area * mpp * mpp,
        "row": middle.y - 0.5,
        "col": middle.x - 0.5,
        "geometry": shapely.to_wkb(shape),
    }


def _object(reading: Reading, where: str, row: dict[str, Any]) -> Iterator[Annotation]:
    try:
        with np.errstate(invalid="ignore"):  # looked at below
            shape = shapely.from_wkb(row["geometry"])
    except (TypeError, shapely.errors.ShapelyError):
        reading.skip(where, "its geometry cannot be read")
        return
    if shape is None or shape.is_empty or not np.isfinite(shapely.get_coordinates(shape)).all():
        reading.skip(where, "it has no geometry")
        return
    placed = reading.moved(shape)
    about = {
        "id": reading.identity(where, row.get("id")),
        "class_name": str(row.get("class") or ""),
    }
    yield from reading.geometry(where, [placed], **about)
