"""napari's *Save layer as...* for labels: the file formats of this plugin that are one file."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import ExportError
from histoprompt.core.files.atomic import explained
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.formats.job import Format

_MICRONS = ("micrometer", "micron", "um", "µm")


def write_geojson(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a labels layer as QuPath GeoJSON."""
    return _write(path, data, attributes, "geojson")


def write_label_tiff(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a labels layer as a label TIFF."""
    return _write(path, data, attributes, "labels")


def write_geoparquet(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a labels layer as GeoParquet."""
    return _write(path, data, attributes, "geoparquet")


def _write(path: str, data: Any, attributes: dict[str, Any], name: Format) -> list[str]:
    """Write one file; objects lie where the layer lies.

    Raises
    ------
    ExportError
        If the layer is not flat, or lies turned.
    LabelError
        If it holds no object.
    """
    array = np.asarray(data[0] if attributes.get("multiscale") else data)
    if array.ndim != 2:
        raise ExportError(f"Only flat labels are saved; this layer has {array.ndim} dimensions.")
    origin, mpp = _place(attributes)
    rows, cols = (o + n for o, n in zip(origin, array.shape, strict=True))
    white = np.broadcast_to(np.uint8(255), (rows, cols, 3))
    slide = Slide.from_arrays(str(attributes.get("name", "labels")), white, mpp=mpp)
    target = Path(path)
    with explained(target), tempfile.TemporaryDirectory(dir=target.parent) as beside:
        out = Path(beside) / "out"
        params = ExportParams(format=name)
        report = export(slide, ArrayLabels(array, origin), out, params, Task())
        shutil.copyfile(report.paths[0], Path(beside) / target.name)
        os.replace(Path(beside) / target.name, target)
    return [path]


def _place(attributes: dict[str, Any]) -> tuple[tuple[int, int], float | None]:
    """The layer's first pixel, counted in its own pixels, and microns a pixel if they are known."""
    scale = [float(v) for v in attributes.get("scale", (1.0, 1.0))][-2:]
    move = [float(v) for v in attributes.get("translate", (0.0, 0.0))][-2:]
    turn = np.asarray(attributes.get("rotate", np.eye(2)), float)
    if scale[0] <= 0 or scale[0] != scale[1] or not np.allclose(turn[-2:, -2:], np.eye(2)):
        raise ExportError("The layer is turned or stretched, so its pixels are those of no slide.")
    row, col = (round(m / s) for m, s in zip(move, scale, strict=True))
    if row < 0 or col < 0:
        raise ExportError("The layer begins above or left of its slide.")
    units = [str(u) for u in attributes.get("units", ())][-1:]
    return (row, col), scale[0] if units and units[0] in _MICRONS else None
