"""YOLO: a text file a tile, a line an object, positions as shares of the tile; with ``data.yaml``.

Segmentation lines are ``class x1 y1 x2 y2 ...``, detection lines ``class x y width height`` with
the middle of the box (Ultralytics). The format knows neither ids, nor holes, nor parts: an object
with holes or in parts is several lines. ``tiles.json``, which is ours, says where each tile lies
and which object each line is, so that an export comes back whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from PIL import Image

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import read_json
from histoprompt.core.labels.contours import outlines
from histoprompt.core.labels.table import compacted
from histoprompt.pipelines.formats.annotation import Annotation, Reading, whole
from histoprompt.pipelines.formats.job import ExportJob, Written
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.polygons import to_polygons, without_holes
from histoprompt.pipelines.formats.tile_pairs import TilePair, tile_pairs
from histoprompt.pipelines.formats.tiles import write_png

DATA, TILES = "data.yaml", "tiles.json"
_DIGITS = 6


def matches(path: Path) -> bool:
    """Whether a folder is such a data set, or a file is one of its lists."""
    return (path / DATA).is_file()


def read(reading: Reading) -> Iterator[Annotation]:
    """The objects of all tiles.

    Tiles lie where ``tiles.json`` says; without it there must be one image, which is the slide.

    Raises
    ------
    LabelError
        If the lists of classes or tiles cannot be read.
    """
    names = _names(reading.path / DATA)
    places = _places(reading)
    for name, (box, ids) in places.items():
        file = reading.path / "labels" / f"{name}.txt"
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise LabelError(f"{file} cannot be read: {error}.") from error
        for number, line in enumerate(lines, start=1):
            where = f"{file.name} line {number}"
            label = ids[number - 1] if number <= len(ids) else 0
            if line.strip():
                yield from _object(reading, where, line.split(), box, (names, label))


def write_segments(job: ExportJob) -> Written:
    """Write ``images/``, ``labels/`` with polygons, ``data.yaml`` and ``tiles.json``."""
    return _write(job, _polygons)


def write_boxes(job: ExportJob) -> Written:
    """Write ``images/``, ``labels/`` with boxes, ``data.yaml`` and ``tiles.json``."""
    return _write(job, _boxes)


def _write(job: ExportJob, lines_of: Any) -> Written:
    numbers = {name: number - 1 for name, number in job.class_numbers().items()}
    splits, count = set(), 0
    with JsonListFile(job.folder / TILES, {"provenance": job.provenance()}, "tiles") as tiles:
        for pair in tile_pairs(job):
            name = f"{pair.split}/{job.stem}_{pair.row:05d}_{pair.col:05d}"
            for kind in ("images", "labels"):
                (job.folder / kind / pair.split).mkdir(parents=True, exist_ok=True)
            write_png(job.folder / "images" / f"{name}.png", pair.image)
            rows = lines_of(job, pair, numbers)
            text = "".join(f"{line}\n" for _, line in rows)
            (job.folder / "labels" / f"{name}.txt").write_text(text, encoding="utf-8")
            side = job.params.tile_size / np.array(pair.valid) * pair.box.shape
            box = [round(pair.box.r0), round(pair.box.c0), *side.tolist()]
            tiles.add(
                {"name": name, "corner": box[:2], "side": box[2:], "ids": [i for i, _ in rows]}
            )
            splits.add(pair.split)
            count += 1
        tiles.finish({})
    (job.folder / DATA).write_text(_yaml(numbers, splits), encoding="utf-8")
    return Written((DATA, TILES, "images", "labels"), count)


def _polygons(job: ExportJob, pair: TilePair, numbers: dict[str, int]) -> list[tuple[int, str]]:
    present, compact, _ = compacted(pair.ids)
    classes = {item.id: item.class_name for item in pair.objects}
    rows = []
    for number, label in enumerate(present.tolist(), start=1):
        for polygon in to_polygons(outlines(compact == number), job.params.simplify):
            for piece in without_holes(polygon):
                ring = shapely.get_coordinates(piece.exterior)[:-1] / pair.ids.shape[::-1]
                places = " ".join(f"{v:.{_DIGITS}f}" for v in ring.ravel())
                rows.append((label, f"{numbers[classes[label]]} {places}"))
    return rows


def _boxes(job: ExportJob, pair: TilePair, numbers: dict[str, int]) -> list[tuple[int, str]]:
    rows = []
    h, w = pair.ids.shape
    for item in pair.objects:
        at_rows, at_cols = np.nonzero(pair.ids == item.id)
        r0, r1 = at_rows.min() / h, (at_rows.max() + 1) / h
        c0, c1 = at_cols.min() / w, (at_cols.max() + 1) / w
        places = ((c0 + c1) / 2, (r0 + r1) / 2, c1 - c0, r1 - r0)
        rows.append(
            (item.id, f"{numbers[item.class_name]} " + " ".join(f"{v:.{_DIGITS}f}" for v in places))
        )
    return rows


def _yaml(numbers: dict[str, int], splits: Collection[str]) -> str:
    lines = ["path: .", *(f"{s}: images/{s}" for s in ("train", "val", "test") if s in splits)]
    lines += ["names:", *(f"  {number}: {json.dumps(name)}" for name, number in numbers.items())]
    return "\n".join(lines) + "\n"


def _names(path: Path) -> dict[int, str]:
    """The classes of ``data.yaml``: a table or a list under ``names``."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise LabelError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, list):
        return {i: str(name) for i, name in enumerate(names)}
    if isinstance(names, dict):
        return {int(k): str(v) for k, v in names.items() if isinstance(k, int)}
    raise LabelError(f"{path} names no classes.")


def _places(reading: Reading) -> dict[str, tuple[tuple[float, ...], list[int]]]:
    """Each tile's row, column, height and width in level-0 pixels, and the ids of its lines."""
    path = reading.path / TILES
    if not path.is_file():
        return _only_image(reading)
    data = read_json(path)
    found = {}
    for number, tile in enumerate(data.get("tiles") or [] if isinstance(data, dict) else []):
        try:
            box = tuple(float(v) for v in (*tile["corner"], *tile["side"]))
            ids = [whole(i) for i in tile["ids"]]
            found[str(tile["name"])] = (box, ids)
        except (KeyError, TypeError, ValueError) as error:
            raise LabelError(f"{path}, tile {number + 1} says not where it lies.") from error
    if not found:
        raise LabelError(f"{path} lists no tiles.")
    return found


def _only_image(reading: Reading) -> dict[str, tuple[tuple[float, ...], list[int]]]:
    folder = reading.path / "images"
    images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".tif"))
    if len(images) != 1:
        raise LabelError(
            f"{reading.path.name} has {len(images):,} images and no {TILES} that says where each "
            "lies on the slide. Import one image at a time, each onto itself."
        )
    with Image.open(images[0]) as image:
        size = (image.height, image.width)
    if size != reading.size:
        raise LabelError(
            f"{images[0].name} has {size[0]} rows and {size[1]} columns, but the slide has "
            f"{reading.size[0]} and {reading.size[1]}."
        )
    name = images[0].relative_to(folder).with_suffix("").as_posix()
    return {name: ((0.0, 0.0, *map(float, size)), [])}


def _object(
    reading: Reading,
    where: str,
    words: list[str],
    box: tuple[float, ...],
    known: tuple[dict[int, str], int],
) -> Iterator[Annotation]:
    names, label = known
    try:
        kind, values = int(words[0]), np.array([float(v) for v in words[1:]])
    except (ValueError, OverflowError):
        reading.skip(where, "it is no line of numbers")
        return
    if len(values) < 4 or len(values) % 2 or (len(values) != 4 and len(values) < 6):
        reading.skip(where, f"{len(values)} numbers make neither a box nor a polygon")
        return
    r, c, h, w = box
    if len(values) == 4:
        x, y, width, height = values
        xs, ys = (x - width / 2, x + width / 2), (y - height / 2, y + height / 2)
        points = np.array([(xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1])])
    else:
        points = values.reshape(-1, 2)
    about = {"id": label, "part_of": label, "class_name": names.get(kind, f"class {kind}")}
    yield from reading.outline(where, [points * (w, h) + (c, r)], **about)
