"""Labels of an OME-Zarr image, version 0.5: a pyramid of whole numbers, with colours and classes.

`write` makes ``labels.zarr`` with one image-label group, as the specification of OME-NGFF 0.5 puts
it below an image's ``labels``; `read_labels_of` takes any image-label group of 0.4 or 0.5, alone or
below an image.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.labels.sources import ArrayLabels, extent, pieces
from histoprompt.pipelines.formats.annotation import Reading, colour_of, whole
from histoprompt.pipelines.formats.job import ExportJob, Imported, Written

FOLDER, NAME = "labels.zarr", "objects"
_CHUNK = 512
# What stands for the lists of objects until they are written.
_COLOURS, _PROPERTIES = "colours of the objects", "classes of the objects"
_SMALLEST = 1024
# what zarr raises for a folder that is not what its name says
_DAMAGE = (OSError, ValueError, KeyError, TypeError, zarr.errors.BaseZarrError)


def matches(path: Path) -> bool:
    """Whether a folder is a zarr group that may hold labels."""
    return path.is_dir() and any((path / n).is_file() for n in ("zarr.json", ".zgroup"))


def write(job: ExportJob) -> Written:
    """Write ``labels.zarr``, as large as the slide; what holds no object takes no room."""
    root = zarr.create_group(job.folder / FOLDER, zarr_format=3)
    root.attrs["ome"] = {"version": "0.5", "labels": [NAME]}
    group = root.create_group(NAME)
    group.attrs["ome"] = _metadata(job)
    shapes = [job.slide.shape]
    while max(shapes[-1]) > _SMALLEST:
        shapes.append((max(1, shapes[-1][0] // 2), max(1, shapes[-1][1] // 2)))
    levels = [
        group.create_array(
            str(i), shape=s, chunks=(min(_CHUNK, s[0]), min(_CHUNK, s[1])), dtype="uint32"
        )
        for i, s in enumerate(shapes)
    ]
    boxes = list(job.labels.filled_boxes())
    for done, box in enumerate(boxes):
        job.task.step(done, len(boxes), "Writing labels")
        for part in pieces(box, 2048):
            levels[0][part.slices()] = job.labels.read(part)
    for fine, coarse in pairwise(levels):
        _reduce(fine, coarse, extent(job.labels), job.slide.shape)
    _tell_objects(job, job.folder / FOLDER / NAME / "zarr.json")
    return Written((FOLDER,))


def read_labels_of(reading: Reading) -> Imported:
    """The labels of an image-label group.

    Raises
    ------
    LabelError
        If the folder holds no labels, or labels of another size than the slide.
    """
    try:
        group = _label_group(zarr.open_group(reading.path, mode="r"))
        about = group.attrs.get("ome", group.attrs)
        path = about["multiscales"][0]["datasets"][0]["path"]
        array = group[path]
        shape = tuple(n for n in array.shape if n != 1) if array.ndim > 2 else array.shape
    except _DAMAGE as error:
        raise LabelError(f"{reading.path.name} holds no OME-Zarr labels ({error!r}).") from error
    if not isinstance(array, zarr.Array) or shape != reading.size:
        raise LabelError(
            f"The labels in {reading.path.name} have the shape {tuple(array.shape)}, but the slide "
            f"has {reading.size[0]} rows and {reading.size[1]} columns."
        )
    flat = array if array.ndim == 2 else _Flat(array)
    return Imported(ArrayLabels(flat, (0, 0)), _classes(about))


class _Flat:
    """A (1, ..., 1, H, W) array seen as (H, W)."""

    def __init__(self, array: Any) -> None:
        self._array, self.dtype, self.shape = array, array.dtype, array.shape[-2:]

    def __getitem__(self, key: tuple[slice, slice]) -> Any:
        return self._array[(*([0] * (self._array.ndim - 2)), *key)]


def _label_group(root: Any) -> Any:
    about = root.attrs.get("ome", root.attrs)
    if "image-label" in about:
        return root
    if "labels" in about:
        return root[about["labels"][0]]
    return _label_group(root["labels"])


def _classes(about: Any) -> Classes:
    names: dict[int, str] = {}
    colours: dict[str, Colour] = {}
    inner = about.get("image-label") or {}
    for item in inner.get("properties") or []:
        if isinstance(item, dict) and whole(item.get("label-value")) and item.get("class"):
            names[int(item["label-value"])] = str(item["class"])
    for item in inner.get("colors") or []:
        value = whole(item.get("label-value")) if isinstance(item, dict) else 0
        colour = colour_of(item.get("rgba")) if value else None
        if colour and value in names:
            colours[names[value]] = colour
    return Classes(names, colours)


def _metadata(job: ExportJob) -> dict[str, Any]:
    unit = {} if job.slide.mpp is None else {"unit": "micrometer"}
    mpp = job.slide.mpp or 1.0
    datasets, side = [], max(job.slide.shape)
    for level in range(64):
        factor = mpp * 2**level
        move = mpp * (2**level - 1) / 2
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [factor, factor]},
                    {"type": "translation", "translation": [move, move]},
                ],
            }
        )
        if side <= _SMALLEST:
            break
        side = max(1, side // 2)
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": NAME,
                "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
                "datasets": datasets,
            }
        ],
        "image-label": {
            "version": "0.5",
            "colors": _COLOURS,
            "properties": _PROPERTIES,
            "source": {"image": "../../"},
        },
    }


def _tell_objects(job: ExportJob, description: Path) -> None:
    """Put colour and class of each object into the description, one by one."""
    palette, names = job.classes.palette(job.class_names), job.classes
    named = [(i, names.of(i)) for i in map(int, job.table.ids) if names.of(i)]
    colours = ({"label-value": i, "rgba": [*palette[name], 255]} for i, name in named)
    properties = ({"label-value": i, "class": name} for i, name in named)
    text = description.read_text(encoding="utf-8")
    with description.open("w", encoding="utf-8") as file:
        for mark, items in ((_COLOURS, colours), (_PROPERTIES, properties)):
            before, text = text.split(json.dumps(mark))
            file.write(f"{before}[")
            for number, item in enumerate(items):
                file.write(",\n" * (number > 0) + json.dumps(item))
            file.write("]")
        file.write(text)


def _reduce(fine: Any, coarse: Any, where: Box, shape: tuple[int, int]) -> None:
    """Every second pixel, where there is anything."""
    factor = shape[0] / coarse.shape[0]
    h, w = coarse.shape
    r0, c0 = (int(v // factor) for v in (where.r0, where.c0))
    r1, c1 = min(h, int(where.r1 // factor) + 1), min(w, int(where.c1 // factor) + 1)
    if r1 <= r0 or c1 <= c0:
        return
    for part in pieces(Box(r0, c0, r1, c1), 1024):
        rows, cols = part.slices()
        block = np.asarray(fine[rows.start * 2 : rows.stop * 2, cols.start * 2 : cols.stop * 2])
        if block.any():
            coarse[rows, cols] = block[::2, ::2][: rows.stop - rows.start, : cols.stop - cols.start]
