"""The files of how cells lie: ``spatial.csv``, ``cross_k.csv``, density maps and a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.ome_uuid import UNKNOWN, settle_uuid
from histoprompt.core.files.pages import page
from histoprompt.core.files.tables import table_writer
from histoprompt.core.task import Task
from histoprompt.pipelines.count.counted_folder import CountedFolder
from histoprompt.pipelines.count.spatial.numbers import PairNumbers
from histoprompt.pipelines.count.spatial.places import (
    Spatial,
    SpatialParams,
    SpatialPlace,
    spatial_of,
)

SPATIAL_CSV, CROSS_K_CSV, PAGE = "spatial.csv", "cross_k.csv", "spatial.html"
PLACE_COLUMNS = (
    "region", "first", "second", "cells", "others", "region_mm2", "radius_um", "within",
    "nearest_um", "reach_um", "l_minus_r_um", "p",
)  # fmt: skip
CURVE_COLUMNS = ("region", "first", "second", "radius_um", "k_um2", "l_minus_r_um", "low", "high")
_TEMPLATE = Path(__file__).with_name("templates") / "spatial.html"
# Of a curve on the page, and the longer side of a map, in pixels.
_WIDE, _TALL, _MAP = 150.0, 80.0, 480
# From few cells to many.
_RAMP = np.array([(255, 255, 255), (254, 217, 118), (240, 59, 32), (84, 0, 38)], np.float64)


def density_name(name: str) -> str:
    """The file of a density map of a class."""
    kept = "".join(c if c.isalnum() or c in "-_ " else "_" for c in name).strip()
    return f"density_{kept or '_'}.tif"


def write_spatial(
    counted: CountedFolder, folder: Path, params: SpatialParams, task: Task
) -> Spatial:
    """Measure how the cells of a count lie, and write it.

    Parameters
    ----------
    counted : CountedFolder
    folder : Path
        Made if it is not there.
    params : SpatialParams
    task : Task

    Raises
    ------
    LabelError
        If no pixel size is known, or there is no cell.
    ExportError
        If the folder cannot be written.
    """
    if counted.mpp is None:
        raise LabelError(f"{counted.name} states no pixel size: how far cells lie is not known.")
    found = spatial_of(counted.cells, counted.mpp, counted.regions, params, task)
    if found is None:
        raise LabelError(f"The count of {counted.name} has no cells.")
    make_folder(folder)
    _write(folder / SPATIAL_CSV, PLACE_COLUMNS, _place_rows(found, params))
    _write(folder / CROSS_K_CSV, CURVE_COLUMNS, _curve_rows(found))
    names: dict[str, str] = {}
    for name, density in found.densities.items():
        number, file = 2, density_name(name)
        while file.casefold() in {f.casefold() for f in names.values()}:
            file, number = density_name(f"{name}_{number}"), number + 1
        names[name] = file
        _write_map(folder / file, density, found, name, counted.mpp)
    facts = {
        "name": counted.name, "params": params, "notes": found.notes,
        "whole": counted.complete,
        "places": [_shown(place) for place in found.places],
        "maps": [_map(name, names[name], density) for name, density in found.densities.items()],
        "settings": asdict(params),
    }  # fmt: skip
    with replacing_file(folder / PAGE) as part:
        part.write_text(page(_TEMPLATE, facts), encoding="utf-8", errors="replace")
    return found


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, head, names=("region", "first", "second"))
        for row in rows:
            write(row)


def _place_rows(found: Spatial, params: SpatialParams) -> Iterable[Sequence[object]]:
    for place in found.places:
        for pair in place.pairs:
            excess = "" if pair.k is None else _number(float(pair.k.excess[-1]))
            p = "" if pair.k is None else _number(pair.k.p)
            yield (place.name, pair.first, pair.second, pair.cells, pair.others,
                   _number(place.mm2), _number(params.radius), _number(pair.neighbours),
                   _number(pair.nearest_um), _number(params.reach), excess, p)  # fmt: skip


def _curve_rows(found: Spatial) -> Iterable[Sequence[object]]:
    for place in found.places:
        for pair in place.pairs:
            if pair.k is None:
                continue
            k = pair.k
            for values in zip(k.radii, k.k, k.excess, k.low, k.high, strict=True):
                yield place.name, pair.first, pair.second, *map(_number, map(float, values))


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""


def _write_map(
    path: Path, density: NDArray[np.float32], found: Spatial, name: str, mpp: float
) -> None:
    """A map of cells per mm² as OME-TIFF; the place of its corner stands in its annotations."""
    side = found.window.pixel
    place = {
        "Namespace": "histoprompt/spatial", "class": name, "unit": "cells per mm2",
        "row0_level0": found.window.origin[0] / mpp, "col0_level0": found.window.origin[1] / mpp,
        "level0_pixels": side / mpp,
    }  # fmt: skip
    told = {
        "axes": "YX", "MapAnnotation": place, "UUID": UNKNOWN,
        "PhysicalSizeX": side, "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": side, "PhysicalSizeYUnit": "µm",
    }  # fmt: skip
    with replacing_file(path) as part:
        tifffile.imwrite(part, density, ome=True, metadata=told, compression="adobe_deflate")
        settle_uuid(part)


def _map(name: str, file: str, density: NDArray[np.float32]) -> dict[str, Any]:
    most = float(np.nanmax(density)) if np.isfinite(density).any() else 0.0
    share = np.nan_to_num(density / most if most > 0 else density)
    at = np.linspace(0, 1, len(_RAMP))
    picture = np.stack([np.interp(share, at, _RAMP[:, c]) for c in range(3)], axis=-1)
    picture[~np.isfinite(density)] = (225, 228, 232)
    image = Image.fromarray(picture.round().astype(np.uint8))
    scale = _MAP / max(image.size)
    image = image.resize([max(1, round(n * scale)) for n in image.size], Image.Resampling.NEAREST)
    data = io.BytesIO()
    image.save(data, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return {"name": name, "file": file, "most": most, "address": address}


def _shown(place: SpatialPlace) -> dict[str, Any]:
    pairs = [{"pair": p, "curve": _curve(p), "p": "" if p.k is None else _number(p.k.p)}
             for p in place.pairs]  # fmt: skip
    return {"place": place, "pairs": pairs}


def _curve(pair: PairNumbers) -> dict[str, Any] | None:
    """Points of a curve with its envelope, in pixels."""
    if pair.k is None:
        return None
    k = pair.k
    ends = np.concatenate([k.excess, k.low, k.high, [0.0]])
    ends = ends[np.isfinite(ends)]
    low, high = float(ends.min()), float(ends.max())
    span = max(high - low, 1e-9)
    x = 4 + k.radii / k.radii[-1] * (_WIDE - 8)

    def up(values: NDArray[np.float64]) -> list[float]:
        return (4 + (high - values) / span * (_TALL - 8)).tolist()  # type: ignore[no-any-return]

    outline = []
    if np.isfinite(k.low).all():
        outline = [*zip(x, up(k.low), strict=True), *zip(x[::-1], up(k.high)[::-1], strict=True)]
    return {"line": list(zip(x, up(k.excess), strict=True)), "band": outline,
            "zero": up(np.zeros(1))[0], "wide": _WIDE, "tall": _TALL,
            "last": float(k.excess[-1])}  # fmt: skip
