"""Image and mask tiles with a ``dataset.json``.

Images are PNG. Masks are TIFF, uint16 or uint32, and hold the ids of the labels, so that an object
keeps its id from tile to tile. All tiles have one size: at the far edges of the labels images are
filled up with white and masks with 0, and ``valid`` says how far the slide goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import Corners, Shape, read_json
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import SparseLabels, as_ids
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.formats.job import ExportJob, Imported, Written
from histoprompt.pipelines.formats.json_files import JsonListFile
from histoprompt.pipelines.formats.tile_pairs import TilePair, nearest, tile_mpp, tile_pairs

SCHEMA = "histoprompt-tiles/1"
DATASET_FILE = "dataset.json"


# A tile that is larger is damage.
SIDE_LIMIT = 2**15
Side = Annotated[int, Field(ge=0, le=SIDE_LIMIT)]
Colours = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=4)]
Identity = Annotated[int, Field(ge=1, lt=2**32)]


class ClassEntry(TypedDict):
    """A class in a list of classes."""

    name: str
    colour: NotRequired[Colours | None]


_Object = TypedDict("_Object", {"id": Identity, "class": str})


class _Tile(TypedDict):
    mask: str
    box: Corners
    valid: Annotated[list[Side], Field(min_length=2, max_length=2)]
    objects: list[_Object]


class StatedSlide(TypedDict):
    """The slide an export is of."""

    shape: Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(min_length=2, max_length=2)]


class _Provenance(TypedDict):
    slide: StatedSlide


class _Dataset(TypedDict):
    provenance: _Provenance
    tiles: list[_Tile]
    classes: list[ClassEntry]


_SHAPE: Shape[_Dataset] = Shape(_Dataset)


def write(job: ExportJob) -> Written:
    """Write ``images/``, ``masks/`` and ``dataset.json``."""
    dtype = np.uint16 if int(job.table.ids[-1]) < 2**16 else np.uint32
    for name in ("images", "masks"):
        (job.folder / name).mkdir()
    count = 0
    with JsonListFile(job.folder / DATASET_FILE, _head(job), "tiles") as dataset:
        for pair in tile_pairs(job):
            dataset.add(_write_pair(job, pair, dtype))
            count += 1
        dataset.finish({})
    return Written((DATASET_FILE, "images", "masks"), count)


def read_tiles(folder: Path) -> Imported:
    """Read an export of tiles back into labels.

    Parameters
    ----------
    folder : Path
        With ``dataset.json``.

    Returns
    -------
    Imported
        The labels of the slide; tiles at another scale are brought back by nearest neighbour.

    Raises
    ------
    LabelError
        If a file is missing or of another kind.
    """
    path = Path(folder) / DATASET_FILE
    data = read_json(path)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise LabelError(f"{path} is not a dataset of tiles that this version reads ({SCHEMA}).")
    stated = _SHAPE.of(data, str(path))
    rows, cols = stated["provenance"]["slide"]["shape"]
    labels = SparseLabels((rows, cols))
    names: dict[int, str] = {}
    for entry in stated["tiles"]:
        box, (h, w) = Box(*entry["box"]), entry["valid"]
        if max(box.shape) > SIDE_LIMIT:
            raise LabelError(f"{path} has a tile of {box.shape} pixels; {SIDE_LIMIT} are the most.")
        mask = _read_mask(inside(Path(folder), entry["mask"]))[:h, :w]
        labels.paste(nearest(mask, box.shape), box)
        names |= {item["id"]: tidy(item["class"]) for item in entry["objects"]}
    return Imported(labels, Classes(names, colours_of(stated["classes"])))


def colours_of(classes: Sequence[ClassEntry]) -> dict[str, tuple[int, int, int]]:
    """The colours in a list of classes."""
    found = {tidy(item["name"]): item.get("colour") for item in classes}
    return {name: (c[0], c[1], c[2]) for name, c in found.items() if c}


def inside(folder: Path, name: str) -> Path:
    """A file that an export names; it must lie in its folder.

    Raises
    ------
    LabelError
        If it does not.
    """
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise LabelError(f"{path} lies outside the export {folder}, which names it.")
    return path


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an (h, w, 3) uint8 image; it is encoded first, so that a full disk is told as such."""
    data = BytesIO()
    Image.fromarray(image).save(data, "PNG", compress_level=3)
    path.write_bytes(data.getvalue())


def _write_pair(
    job: ExportJob, pair: TilePair, dtype: type[np.unsignedinteger[Any]]
) -> dict[str, Any]:
    name = f"{job.stem}_{pair.row:05d}_{pair.col:05d}"
    image, mask = f"images/{name}.png", f"masks/{name}.tif"
    write_png(job.folder / image, pair.image)
    data = BytesIO()
    tifffile.imwrite(data, pair.ids.astype(dtype), compression="adobe_deflate")
    (job.folder / mask).write_bytes(data.getvalue())
    return {
        "image": image,
        "mask": mask,
        "row": pair.row,
        "col": pair.col,
        "box": [round(v) for v in pair.box],
        "valid": list(pair.valid),
        "split": pair.split,
        "objects": [{"id": o.id, "class": o.class_name, "cut": o.cut} for o in pair.objects],
    }


def _head(job: ExportJob) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "provenance": job.provenance(),
        "tile_size": job.params.tile_size,
        "mpp": tile_mpp(job),
        "classes": job.class_list(),
        "split_by": job.params.split_by,
    }


def _read_mask(path: Path) -> NDArray[np.uint32]:
    try:
        return as_ids(np.asarray(tifffile.imread(path)))
    except READ_ERRORS as error:
        raise LabelError(f"The mask {path} cannot be read: {error}") from error
