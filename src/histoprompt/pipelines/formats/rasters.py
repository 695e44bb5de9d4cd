"""Label images of other programs: TIFF, PNG and npy, and HoVer-Net's ``inst_map`` with types.

Label images are whole numbers, one an object, 0 for none. A ``.npy`` may be such an array, an array
(H, W, 2) of instances and types, or a pickled table ``{"inst_map", "type_map"}`` as HoVer-Net's
training data are kept. The pickle is read by a reader that makes numpy arrays and nothing else, so
that no code of the file runs.
"""

from __future__ import annotations

import csv
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Classes, read_classes
from histoprompt.core.labels.sources import ArrayLabels, LabelSource, as_ids, check_label_array
from histoprompt.core.labels.tiff import read_labels
from histoprompt.pipelines.formats.annotation import Reading
from histoprompt.pipelines.formats.job import ExportJob, Imported, Written

NPY, TYPES_FILE, CLASSES_FILE = "labels.npy", "types.csv", "classes.csv"
_SUFFIXES = (".tif", ".tiff", ".png", ".npy")
_LARGEST = 2**30  # bytes of an array in memory
_SAFE = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}


def matches(path: Path) -> bool:
    """Whether a file is named like a label image."""
    return path.is_file() and path.suffix.lower() in _SUFFIXES


def load(reading: Reading) -> Imported:
    """The labels of an image.

    Raises
    ------
    LabelError
        If it is no label image, or has another size than the slide.
    """
    suffix = reading.path.suffix.lower()
    if suffix == ".npy":
        return _npy(reading)
    labels = _png(reading.path) if suffix == ".png" else read_labels(reading.path)
    beside = reading.path.with_name(CLASSES_FILE)
    classes = read_classes(beside, "") if beside.is_file() else Classes()
    return Imported(_placed(labels, reading), classes)


def write(job: ExportJob) -> Written:
    """Write ``labels.npy``: (H, W, 2) int32, instances and the numbers of their classes.

    Raises
    ------
    LabelError
        If the labels are too large to be held in memory.
    """
    h, w = job.labels.shape
    if h * w * 8 > _LARGEST:
        raise LabelError(
            f"The labels have {h} rows and {w} columns; this format is for images of up to "
            f"{_LARGEST // 8:,} pixels. Export a region, or choose a tiled format."
        )
    out = np.zeros((h, w, 2), np.int32)
    r, c = job.labels.origin or (0, 0)
    numbers = job.class_numbers()
    if int(job.table.ids[-1]) > np.iinfo(np.int32).max:
        raise LabelError("An id is above 2147483647, which this format cannot hold.")
    kinds = np.array([numbers.get(job.classes.of(i), 0) for i in job.table.ids.tolist()], np.int32)
    boxes = list(job.labels.filled_boxes())
    for done, box in enumerate(boxes):
        job.task.step(done, len(boxes), "Writing labels")
        ids = job.labels.read(box)
        window = out[box.slices((r, c))]
        window[..., 0] = ids
        rows = np.searchsorted(job.table.ids, ids).clip(max=len(kinds) - 1)
        window[..., 1] = np.where(ids > 0, kinds[rows], 0)
    with (job.folder / NPY).open("wb") as file:
        # not by np.save, whose error does not say that a disk is full
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(out))
        file.write(out.data)
    with (job.folder / TYPES_FILE).open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(
            [("type", "class"), *((n, name) for name, n in numbers.items())]
        )
    return Written((NPY, TYPES_FILE))


def _placed(labels: LabelSource, reading: Reading) -> LabelSource:
    if labels.origin is not None:
        return labels
    row, col = (round(v) for v in reading.offset)
    if (row, col) == (0, 0) and labels.shape != reading.size:
        raise LabelError(
            f"{reading.path.name} has {labels.shape[0]} rows and {labels.shape[1]} columns, but "
            f"the slide has {reading.size[0]} and {reading.size[1]}. If it shows a part of the "
            "slide, say where that part begins."
        )
    return _Moved(labels, (row, col))


class _Moved:
    """Labels at another place of the slide."""

    def __init__(self, labels: LabelSource, origin: tuple[int, int]) -> None:
        self._labels, self.origin, self.shape = labels, origin, labels.shape
        r, c = labels.origin or (0, 0)
        self._move = (r - origin[0], c - origin[1])

    def read(self, box: Any) -> NDArray[np.uint32]:
        """The labels of a level-0 box."""
        return self._labels.read(box.shift(*self._move))

    def filled_boxes(self) -> Any:
        """Level-0 boxes that hold every object."""
        back = (-self._move[0], -self._move[1])
        return (box.shift(*back) for box in self._labels.filled_boxes())


def _png(path: Path) -> ArrayLabels:
    try:
        with Image.open(path) as image:
            if image.width * image.height * 4 > _LARGEST:
                raise LabelError(
                    f"{path.name} is too large: {image.width} x {image.height} pixels."
                )
            array = np.asarray(image)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise LabelError(f"{path.name} cannot be read as a PNG: {error}.") from error
    check_label_array(array.shape, array.dtype, path.name)
    return ArrayLabels(array)


def _npy(reading: Reading) -> Imported:
    path = reading.path
    if path.stat().st_size > _LARGEST:
        raise LabelError(
            f"{path.name} has {path.stat().st_size:,} bytes; the most is {_LARGEST:,}."
        )
    try:
        with path.open("rb") as file:
            held = np.lib.format.read_array(file, allow_pickle=False)
    except ValueError:
        held = _pickled(path)
    except (OSError, EOFError) as error:
        raise LabelError(f"{path.name} cannot be read: {error}.") from error
    instances, types = _maps(held, path)
    check_label_array(instances.shape, instances.dtype, path.name)
    labels = _placed(ArrayLabels(instances), reading)
    return Imported(labels, _classes(instances, types, _type_names(path.with_name(TYPES_FILE))))


def _maps(held: Any, path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    if isinstance(held, dict):
        instances, types = held.get("inst_map"), held.get("type_map")
        if not isinstance(instances, np.ndarray):
            raise LabelError(f"{path.name} is a table without an array inst_map.")
        same = isinstance(types, np.ndarray) and types.shape == instances.shape
        return _integers(instances), types if same else None
    if held.ndim == 3 and held.shape[2] in (2, 5):  # HoVer-Net: [RGB,] instances, types
        return _integers(held[..., -2]), held[..., -1]
    return _integers(held), None


def _integers(array: NDArray[Any]) -> NDArray[Any]:
    """HoVer-Net keeps whole numbers in float arrays too."""
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        return array.astype(np.int64)
    return array


def _type_names(path: Path) -> dict[int, str]:
    """Names of types as `write` leaves them beside the array."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {int(row["type"]): row["class"] for row in csv.DictReader(file, strict=True)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise LabelError(f"{path} is no table of type and class ({error}).") from error


def _classes(
    instances: NDArray[Any], types: NDArray[Any] | None, known: Mapping[int, str]
) -> Classes:
    """The commonest type of each instance; type 0 is none if it is not named."""
    if types is None or types.dtype.kind not in "buif" or not np.isfinite(types).all():
        return Classes()
    inside = instances > 0
    pairs, counts = np.unique(
        np.stack([as_ids(instances[inside]), types[inside].astype(np.int64)]),
        axis=1,
        return_counts=True,
    )
    names: dict[int, str] = {}
    for i in np.argsort(counts, kind="stable"):
        kind = int(pairs[1, i])
        names[int(pairs[0, i])] = known.get(kind, f"type {kind}" if kind else "")
    return Classes({label: name for label, name in names.items() if name})


class _ArraysOnly(pickle.Unpickler):
    """Makes arrays, tables, texts and numbers; refuses everything that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SAFE:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _pickled(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}[version]
            getattr(np.lib.format, read)(file)
            held = _ArraysOnly(file).load()
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        ImportError,
        MemoryError,
        RecursionError,
        pickle.UnpicklingError,
    ) as error:
        raise LabelError(
            f"{path.name} is no array or table of arrays that can be read safely: {error}."
        ) from error
    return held.item() if isinstance(held, np.ndarray) and held.ndim == 0 else held
