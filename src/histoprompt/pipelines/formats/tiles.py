"""Image and mask tiles with a ``dataset.json``.

Images are PNG. Masks are TIFF, uint16 or uint32, and hold the ids of the labels, so that an object
keeps its id from tile to tile. All tiles have one size: at the far edges of the labels images are
filled up with white and masks with 0, and ``valid`` says how far the slide goes.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.classes import Classes
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels import SparseLabels, as_ids
from histoprompt.pipelines.formats.job import ExportJob, Imported, Written
from histoprompt.pipelines.formats.json_files import JsonListFile, read_json
from histoprompt.pipelines.formats.tile_pairs import TilePair, nearest, tile_mpp, tile_pairs

SCHEMA = "histoprompt-tiles/1"
DATASET_FILE = "dataset.json"


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
    labels = SparseLabels(tuple(data["provenance"]["slide"]["shape"]))
    names: dict[int, str] = {}
    for entry in data["tiles"]:
        box, (h, w) = Box(*entry["box"]), entry["valid"]
        labels.paste(nearest(_read_mask(Path(folder) / entry["mask"])[:h, :w], box.shape), box)
        names |= {item["id"]: item["class"] for item in entry["objects"]}
    return Imported(labels, Classes(names, colours_of(data["classes"])))


def colours_of(classes: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    """The colours in a list of classes."""
    found = {item["name"]: item.get("colour") for item in classes}
    return {name: (c[0], c[1], c[2]) for name, c in found.items() if c}


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
    except (OSError, ValueError) as error:
        raise LabelError(f"The mask {path} cannot be read: {error}") from error
