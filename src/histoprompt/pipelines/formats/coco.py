"""COCO instances: an image entry a tile, an annotation for each object's part in a tile.

A slide as one COCO image would be of no use to any trainer, so it is cut into tiles. Each split has
two files with the same annotations: ``instances_SPLIT.json`` with run-length masks, which are exact
and what pycocotools works with, and ``polygons_SPLIT.json`` for programs that want polygons; COCO
polygons know no holes, so objects with holes are cut into pieces there. ``iscrowd`` is always 0, as
every annotation is one object. Beyond the standard an annotation has ``label`` (the object's id)
and ``cut`` (it goes on outside the tile), an image ``box`` and ``valid`` as in ``dataset.json``.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
import shapely
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pydantic import Field
from scipy.ndimage import find_objects
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import Corners, Finite, Shape, read_json
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.contours import outlines
from histoprompt.core.labels.sources import SparseLabels
from histoprompt.core.labels.table import compacted
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.formats.job import ExportJob, Imported, Written
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.polygons import to_polygons, without_holes
from histoprompt.pipelines.formats.tile_pairs import TilePair, nearest, tile_pairs
from histoprompt.pipelines.formats.tiles import (
    SIDE_LIMIT,
    ClassEntry,
    Identity,
    Side,
    StatedSlide,
    colours_of,
    write_png,
)

KINDS = ("instances", "polygons")
ANNOTATIONS = "annotations"


class _Image(TypedDict):
    id: int
    height: Annotated[Side, Field(ge=1)]
    width: Annotated[Side, Field(ge=1)]
    box: NotRequired[Corners]
    valid: NotRequired[Annotated[list[Side], Field(min_length=2, max_length=2)]]


class _RunLengths(TypedDict):
    size: list[int]
    counts: str | list[Annotated[int, Field(ge=0, lt=2**31)]]


class _Annotation(TypedDict):
    id: Annotated[int, Field(ge=0, lt=2**32)]
    image_id: int
    category_id: int
    segmentation: _RunLengths | Annotated[list[list[Finite]], Field(min_length=1)]
    label: NotRequired[Identity]


class _Category(ClassEntry):
    id: int


class _Info(TypedDict):
    slide: NotRequired[StatedSlide]


class _File(TypedDict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]
    info: NotRequired[_Info]


_SHAPE: Shape[_File] = Shape(_File)


def write(job: ExportJob) -> Written:
    """Write ``images/`` and ``annotations/``."""
    for name in ("images", ANNOTATIONS):
        (job.folder / name).mkdir()
    with ExitStack() as stack:
        splits = _Splits(job, stack)
        count = sum(splits.add(pair) for pair in tile_pairs(job))
        splits.finish()
    names = tuple(f"{ANNOTATIONS}/{p.name}" for p in sorted((job.folder / ANNOTATIONS).iterdir()))
    return Written(("images", *names), count)


def read_coco(path: Path) -> Imported:
    """Read an export of COCO back into labels.

    Parameters
    ----------
    path : Path
        Its folder (all splits are read), or one annotation file, with masks or polygons.

    Returns
    -------
    Imported
        Images without ``box`` are taken to lie at the slide's first pixel, and annotations without
        ``label`` get their own number as id.

    Raises
    ------
    LabelError
        If a file is missing or of another kind.
    """
    path = Path(path)
    files = sorted((path / ANNOTATIONS).glob("instances_*.json")) if path.is_dir() else [path]
    if not files:
        raise LabelError(f"There is no {ANNOTATIONS}/instances_*.json in {path}.")
    data = [_checked(read_json(file), file) for file in files]
    labels = SparseLabels(_slide_shape(data))
    names: dict[int, str] = {}
    colours: dict[str, tuple[int, int, int]] = {}
    for content in data:
        names |= _paste(content, labels)
        colours |= colours_of(content["categories"])
    return Imported(labels, Classes(names, colours))


class _Splits:
    """The files of the splits, opened when their first tile comes."""

    def __init__(self, job: ExportJob, stack: ExitStack) -> None:
        self._job, self._stack = job, stack
        self._files: dict[str, tuple[JsonListFile, JsonListFile]] = {}
        self._images: dict[str, list[dict[str, Any]]] = {}
        self._category = job.class_numbers()
        self._annotations = 0
        self._tiles = 0

    def add(self, pair: TilePair) -> int:
        """Write one tile; gives 1."""
        self._tiles += 1
        name = f"{self._job.stem}_{pair.row:05d}_{pair.col:05d}.png"
        write_png(self._job.folder / "images" / name, pair.image)
        masks, polygons = self._open(pair.split)
        self._images[pair.split].append(_image_entry(pair, self._tiles, f"images/{name}"))
        classes = {item.id: item for item in pair.objects}
        for label, mask, box in _objects(pair.ids):
            self._annotations += 1
            entry = {
                "id": self._annotations,
                "image_id": self._tiles,
                "category_id": self._category[classes[label].class_name],
                "iscrowd": 0,
                "area": int(mask.sum()),
                "bbox": [round(box.c0), round(box.r0), round(box.width), round(box.height)],
                "label": label,
                "cut": classes[label].cut,
            }
            masks.add(entry | {"segmentation": _rle(mask, box, pair.ids.shape)})
            polygons.add(entry | {"segmentation": self._polygons(mask, box)})
        return 1

    def finish(self) -> None:
        """Write what stands after the annotations."""
        for split, files in self._files.items():
            for file in files:
                file.finish({"images": self._images[split]})

    def _open(self, split: str) -> tuple[JsonListFile, JsonListFile]:
        if split not in self._files:
            paths = [self._job.folder / ANNOTATIONS / f"{kind}_{split}.json" for kind in KINDS]
            masks, polygons = (
                self._stack.enter_context(JsonListFile(p, self._head(), "annotations"))
                for p in paths
            )
            self._files[split], self._images[split] = (masks, polygons), []
        return self._files[split]

    def _head(self) -> dict[str, Any]:
        categories = [item | {"supercategory": ""} for item in self._job.class_list()]
        return {"info": self._job.provenance(), "licenses": [], "categories": categories}

    def _polygons(self, mask: NDArray[np.bool_], box: Box) -> list[list[float]]:
        found = to_polygons(
            outlines(mask, (round(box.r0), round(box.c0))), self._job.params.simplify
        )
        pieces = [piece for polygon in found for piece in without_holes(polygon)]
        return [shapely.get_coordinates(p.exterior)[:-1].ravel().tolist() for p in pieces]


def _image_entry(pair: TilePair, number: int, file_name: str) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": file_name,
        "height": pair.ids.shape[0],
        "width": pair.ids.shape[1],
        "box": [round(v) for v in pair.box],
        "valid": list(pair.valid),
    }


def _objects(ids: NDArray[np.uint32]) -> list[tuple[int, NDArray[np.bool_], Box]]:
    """Id, cropped mask and its box in the tile, for each object."""
    present, compact, _ = compacted(ids)
    found = []
    for number, (rows, cols) in enumerate(find_objects(compact), start=1):
        box = Box(rows.start, cols.start, rows.stop, cols.stop)
        found.append((int(present[number - 1]), compact[rows, cols] == number, box))
    return found


def _rle(mask: NDArray[np.bool_], box: Box, shape: tuple[int, ...]) -> dict[str, Any]:
    whole = np.zeros(shape, np.uint8, order="F")
    whole[box.slices()] = mask
    code = coco_mask.encode(whole)
    return {"size": list(shape), "counts": code["counts"].decode("ascii")}


def _checked(data: Any, path: Path) -> _File:
    keys = {"images", "annotations", "categories"}
    if not isinstance(data, dict) or not keys <= set(data):
        raise LabelError(f"{path} is not a COCO file: it needs {', '.join(sorted(keys))}.")
    found = _SHAPE.of(data, str(path))
    known = {i["id"] for i in found["images"]}, {c["id"] for c in found["categories"]}
    for item in found["annotations"]:
        if item["image_id"] not in known[0] or item["category_id"] not in known[1]:
            raise LabelError(f"{path} lacks the image or the category of annotation {item['id']}.")
    return found


def _slide_shape(files: list[_File]) -> tuple[int, int]:
    stated = files[0].get("info", {}).get("slide")
    if stated is not None:
        return stated["shape"][0], stated["shape"][1]
    images = [image for f in files for image in f["images"]]
    if not images:
        raise LabelError("The COCO files hold no image.")
    return max(i["height"] for i in images), max(i["width"] for i in images)


def _paste(data: _File, labels: SparseLabels) -> dict[int, str]:
    """Paint the annotations of a file; gives the class of each object."""
    images = {image["id"]: image for image in data["images"]}
    categories = {item["id"]: tidy(item["name"]) for item in data["categories"]}
    names: dict[int, str] = {}
    for item in data["annotations"]:
        image = images[item["image_id"]]
        label = item.get("label", item["id"])
        ids = _decoded(item, image).astype(np.uint32) * np.uint32(label)
        h, w = image.get("valid", (image["height"], image["width"]))
        box = Box(*image["box"]) if "box" in image else Box(0, 0, h, w)
        if max(box.shape) > SIDE_LIMIT:
            raise LabelError(f"The image {image['id']} has {box.shape} pixels: too many.")
        labels.paste(nearest(ids[:h, :w], box.shape), box)
        names[label] = categories[item["category_id"]]
    return names


def _decoded(item: _Annotation, image: _Image) -> NDArray[np.uint8]:
    """The (height, width) mask of run lengths, compressed or not, or of polygons."""
    h, w = image["height"], image["width"]
    segmentation: Any = item["segmentation"]
    try:
        if isinstance(segmentation, list):
            code = coco_mask.merge(coco_mask.frPyObjects(segmentation, h, w))
        elif segmentation["size"] != [h, w]:
            raise LabelError(f"The mask of annotation {item['id']} is not of its image's size.")
        elif isinstance(segmentation["counts"], list):
            code = coco_mask.frPyObjects(segmentation, h, w)
        else:
            code = segmentation
        return np.asarray(coco_mask.decode(code), np.uint8)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise LabelError(f"The mask of annotation {item['id']} is damaged: {error}.") from error
