"""COCO instances coming in: polygons, run lengths and crowds, annotation by annotation.

Our own exports say where on the slide each image lies. Of other programs' files one image is read,
the one of the slide's name or the only one there is, and it must have the slide's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.core.files.json_stream import json_head, json_parts
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Colour
from histoprompt.core.labels.contours import outlines
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.formats.annotation import Annotation, Reading, colour_of, whole
from histoprompt.pipelines.formats.polygons import from_outline
from histoprompt.pipelines.formats.tile_pairs import nearest

ANNOTATIONS = "annotations"
_SIDE_LIMIT = 2**15
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, RuntimeError, OverflowError, AttributeError)


def matches(path: Path) -> bool:
    """Whether a path is a folder of such files, or one of them."""
    if path.is_dir():
        return (path / ANNOTATIONS).is_dir()
    start = head_of(path, 65536, (".json",))
    return b'"categories"' in start or b'"annotations"' in start


@dataclass(frozen=True)
class _Image:
    """An image: where on the slide it lies, its pixels, and how many of these show the slide."""

    box: Box
    shape: tuple[int, int]
    valid: tuple[int, int]
    placed: bool


@dataclass(frozen=True)
class _Head:
    images: dict[Any, _Image]
    classes: dict[Any, tuple[str, Colour | None]]


def read(reading: Reading) -> Iterator[Annotation]:
    """The annotations of a file, or of all splits of a folder.

    Raises
    ------
    LabelError
        If a file is no COCO, or its image is not the slide.
    """
    path = reading.path
    files = sorted((path / ANNOTATIONS).glob("instances_*.json")) if path.is_dir() else [path]
    if not files:
        raise LabelError(f"There is no {ANNOTATIONS}/instances_*.json in {path}.")
    for file in files:
        head = _head(reading, file)
        for key, number, item in json_parts(file, (ANNOTATIONS,)):
            if key == ANNOTATIONS and isinstance(number, int):
                where = f"annotation {number + 1}"
                try:
                    yield from _annotation(reading, where, item, head)
                except _DAMAGE:
                    reading.skip(where, "it has no mask or polygon that can be read")


def _head(reading: Reading, file: Path) -> _Head:
    found = json_head(file, (ANNOTATIONS,))
    images, categories = found.get("images"), found.get("categories")
    if not isinstance(images, list) or not isinstance(categories, list):
        raise LabelError(f"{file} is not a COCO file: it needs images, annotations, categories.")
    try:
        classes = {
            c["id"]: (tidy(str(c["name"])), colour_of(c.get("colour", c.get("color"))))
            for c in categories
        }
        known = {image["id"]: _image(reading, image) for image in images}
        names = {image["id"]: Path(str(image.get("file_name", ""))).stem for image in images}
    except _DAMAGE as error:
        raise LabelError(f"{file}: an image or a category is damaged ({error!r}).") from error
    if known and not any(image.placed for image in known.values()):
        known = _only_image(reading, file, known, names)
    return _Head(known, classes)


def _image(reading: Reading, image: dict[str, Any]) -> _Image:
    h, w = int(image["height"]), int(image["width"])
    if not (0 < h <= 2**31 and 0 < w <= 2**31):
        raise ValueError("its size is none")
    if "box" not in image:
        return _Image(Box(0, 0, h, w), (h, w), (h, w), False)
    rows, cols = (int(v) for v in image.get("valid", (h, w)))
    box = Box(*(int(v) for v in image["box"]))
    if max(*box.shape, h, w) > _SIDE_LIMIT:
        raise ValueError("its tile is too large")
    return _Image(box, (h, w), (min(rows, h), min(cols, w)), True)


def _only_image(
    reading: Reading, file: Path, known: dict[Any, _Image], names: dict[Any, str]
) -> dict[Any, _Image]:
    """The image that is the slide; refused if it has another size."""
    fits = {i: known[i] for i, name in names.items() if name and reading.title.startswith(name)}
    chosen = known if len(known) == 1 else fits
    if len(chosen) != 1:
        raise LabelError(
            f"{file.name} has {len(known):,} images, and none has the name of the slide "
            f"{reading.title}. Import the annotations of one image at a time."
        )
    ((key, image),) = chosen.items()
    here = reading.offset == (0.0, 0.0) and reading.scale == 1.0
    if here and image.shape != reading.size:
        raise LabelError(
            f"The image in {file.name} has {image.shape[0]} rows and {image.shape[1]} columns, but "
            f"the slide has {reading.size[0]} and {reading.size[1]}. If it shows a part of the "
            "slide, say where that part begins."
        )
    return {key: image}


def _annotation(
    reading: Reading, where: str, item: dict[str, Any], head: _Head
) -> Iterator[Annotation]:
    image = head.images.get(item["image_id"])
    if image is None:
        reading.skip(where, f"there is no image {str(item['image_id'])[:20]} of this slide")
        return
    name, colour = head.classes.get(item["category_id"], ("", None))
    label = reading.identity(where, item.get("label", item.get("id")))
    about: dict[str, Any] = {
        "id": label,
        "part_of": whole(item.get("label")),
        "class_name": name,
        "colour": colour,
    }
    segmentation = item["segmentation"]
    if isinstance(segmentation, list):
        rings = [np.asarray(flat, np.float64).reshape(-1, 2) for flat in segmentation]
        scale = np.array(image.box.shape[::-1]) / image.valid[::-1]
        corner = (image.box.c0, image.box.r0)
        yield from reading.outlines(where, [[ring * scale + corner] for ring in rings], **about)
    else:
        mask, (row, col) = _mask(segmentation, image)
        found = tuple(from_outline(o) for o in outlines(mask, (row, col)))
        if found:
            moved = tuple(reading.moved(polygon) for polygon in found)
            yield from reading.geometry(where, moved, **about)
        else:
            reading.skip(where, "its mask is empty")


def _mask(segmentation: dict[str, Any], image: _Image) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The mask of run lengths, cut to the object, and the level-0 place of its first pixel."""
    code, (h, w) = segmentation, image.shape
    if list(code["size"]) != [h, w]:
        raise ValueError("not of its image's size")
    if isinstance(code["counts"], list):
        code = coco_mask.frPyObjects(code, h, w)
    c0, r0, width, height = (int(v) for v in coco_mask.toBbox(code))
    decoded = np.asarray(coco_mask.decode(code), np.uint8)
    if image.valid == image.box.shape:
        rows, cols = image.valid
        part = decoded[r0 : min(rows, r0 + height), c0 : min(cols, c0 + width)] > 0
        return part, (int(image.box.r0) + r0, int(image.box.c0) + c0)
    scaled = nearest(decoded[: image.valid[0], : image.valid[1]].astype(np.uint32), image.box.shape)
    box = Box.of_mask(scaled > 0)
    if box is None:
        return np.zeros((0, 0), bool), (0, 0)
    corner = (int(image.box.r0 + box.r0), int(image.box.c0 + box.c0))
    return scaled[box.slices()] > 0, corner
