"""AnnData's ``.h5ad``: cells as observations, what was measured of them as variables.

``X`` holds the features, ``obs`` class, score and area, ``obsm["spatial"]`` the centres in microns
as (x, y) (in pixels where the slide has no pixel size), ``uns`` where the data come from. Laid out
as the on-disk format 0.1.0 of AnnData says, so that scanpy, squidpy and LazySlide open it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import ExportError
from histoprompt.pipelines.formats.job import ExportJob, Written

FILE = "cells.h5ad"
_ROWS = 16_384


def write(job: ExportJob) -> Written:
    """Write ``cells.h5ad``.

    Raises
    ------
    ExportError
        If h5py is not installed, or the cells were not measured.
    """
    if job.cells is None:
        raise ExportError("AnnData files hold measured cells; there are none to write.")
    try:
        with opened_anndata(job.folder / FILE) as file:
            _fill(file.root, job.cells, job)
    except ImportError as error:
        raise ExportError(
            "AnnData files are written with h5py, which is not installed: "
            "pip install 'napari-histoprompt[anndata]'."
        ) from error
    return Written((FILE,))


@contextmanager
def opened_anndata(path: Path) -> Iterator[AnnDataFile]:
    """A new AnnData file to be filled.

    Raises
    ------
    ImportError
        If h5py is not installed.
    OSError
        If the disk is full.
    """
    import h5py

    with path.open("w+b") as disk:
        patient = _Patient(disk)
        with h5py.File(patient, "w") as file:
            _mark(file, "anndata", "0.1.0")
            yield AnnDataFile(file)
    if patient.fault is not None:
        raise patient.fault


@dataclass(frozen=True)
class AnnDataFile:
    """An AnnData file that is being written.

    Attributes
    ----------
    root : h5py.File
    """

    root: Any

    def matrix(self, values: NDArray[np.float32]) -> None:
        """Write ``X``, (observations, variables)."""
        _mark(self.root.create_dataset("X", data=values), "array")

    def frame(self, name: str, index: list[str]) -> AnnDataFrame:
        """Begin ``obs`` or ``var``."""
        return AnnDataFrame(_frame(self.root, name, index))

    def facts(self, facts: Mapping[str, str]) -> None:
        """Write ``uns``, and the groups of arrays that a file without any has."""
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
            _group(self.root, name)
        uns = _group(self.root, "uns")
        for name, text in facts.items():
            _mark(uns.create_dataset(name, data=text), "string")


@dataclass(frozen=True)
class AnnDataFrame:
    """A table of an AnnData file that is being written.

    Attributes
    ----------
    group : h5py.Group
    """

    group: Any

    def numbers(self, name: str, values: NDArray[Any]) -> None:
        """Write a column of numbers."""
        _column(self.group, _key(name), values)

    def category(
        self, name: str, codes: NDArray[Any], words: Sequence[str], *, ordered: bool = False
    ) -> None:
        """Write a column of words by their codes; -1 has none."""
        group = self.group.create_group(_key(name))
        _mark(group, "categorical")
        group.attrs["ordered"] = ordered
        _mark(group.create_dataset("codes", data=codes.astype(np.int16)), "array")
        _texts(group, "categories", list(words))
        _name(self.group, _key(name))


def _key(name: str) -> str:
    """A name that HDF5 does not take for a path."""
    return name.replace("/", "_")


class _Patient:
    """A file that keeps the first fault of the disk for later, and takes all else as written.

    HDF5 writes again and again while it closes; each time it could not, it would tell the terminal.
    """

    def __init__(self, disk: BinaryIO) -> None:
        self._disk = disk
        self.fault: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, unless writing has failed before."""
        try:
            return self._disk.write(data) if self.fault is None else len(data)
        except OSError as fault:
            self.fault = fault
            return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut, unless writing has failed before."""
        try:
            return self._disk.truncate(size) if self.fault is None else size or 0
        except OSError as fault:
            self.fault = fault
            return size or 0

    def flush(self) -> None:
        """See what was written through to the system."""
        try:
            if self.fault is None:
                self._disk.flush()
        except OSError as fault:
            self.fault = fault

    def readinto(self, buffer: bytearray) -> int:
        """Read into a buffer; what could not be written reads as nothing."""
        data = self._disk.read(len(buffer))
        buffer[: len(data)] = data
        return len(buffer)

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return self._disk.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._disk.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._disk.tell()


def _fill(file: Any, cells: CellTable, job: ExportJob) -> None:
    compressed = {"compression": "gzip"} if cells.features.size else {}
    held = file.create_dataset("X", cells.features.shape, np.float32, **compressed)
    _mark(held, "array")
    starts = range(0, len(cells), _ROWS)
    for done, start in enumerate(starts):
        job.task.step(done, len(starts), "Writing cells")
        held[start : start + _ROWS] = cells.features[start : start + _ROWS]
    job.task.step(len(starts), len(starts), "Writing cells")
    obs = _frame(file, "obs", [str(i) for i in cells.id.tolist()])
    _column(obs, "id", cells.id)
    _category(obs, "class", cells)
    for name, values in (("score", cells.score), ("area_um2", cells.area_um2)):
        _column(obs, name, values)
    for name, values in (("row", cells.row), ("col", cells.col)):
        _column(obs, f"{name}_px", values)
    _frame(file, "var", list(cells.feature_names))
    scale = job.slide.mpp or 1.0
    # a pixel's centre is half a pixel from the slide's corner, which is where microns begin
    spatial = np.stack([cells.col + 0.5, cells.row + 0.5], axis=1) * scale
    _mark(_group(file, "obsm").create_dataset("spatial", data=spatial), "array")
    for name in ("layers", "obsp", "varm", "varp"):
        _group(file, name)
    uns = _group(file, "uns")
    facts = {
        "histoprompt": json.dumps(job.provenance()),
        "spatial_unit": "micrometer" if job.slide.mpp else "pixel",
    }
    for name, text in facts.items():
        _mark(uns.create_dataset(name, data=text), "string")


def _frame(file: Any, name: str, index: list[str]) -> Any:
    frame = file.create_group(name)
    _mark(frame, "dataframe")
    frame.attrs["_index"] = "_index"
    frame.attrs.create("column-order", [], dtype=_text())
    _texts(frame, "_index", index)
    return frame


def _column(frame: Any, name: str, values: Any) -> None:
    _mark(frame.create_dataset(name, data=values), "array")
    _name(frame, name)


def _category(frame: Any, name: str, cells: CellTable) -> None:
    """Names of classes, without those that nobody has; cells without a class have no category."""
    used = [c for c in np.unique(cells.code).tolist() if cells.classes[c]]
    number = np.full(len(cells.classes), -1, np.int16)
    number[used] = np.arange(len(used))
    group = frame.create_group(name)
    _mark(group, "categorical")
    group.attrs["ordered"] = False
    _mark(group.create_dataset("codes", data=number[cells.code]), "array")
    _texts(group, "categories", [cells.classes[c] for c in used])
    _name(frame, name)


def _name(frame: Any, name: str) -> None:
    order = [*frame.attrs["column-order"], name]
    frame.attrs.create("column-order", order, dtype=_text())


def _texts(group: Any, name: str, values: list[str]) -> None:
    _mark(group.create_dataset(name, data=np.array(values, object), dtype=_text()), "string-array")


def _text() -> Any:
    import h5py

    return h5py.string_dtype()


def _group(file: Any, name: str) -> Any:
    group = file.create_group(name)
    _mark(group, "dict", "0.1.0")
    return group


def _mark(item: Any, kind: str, version: str = "0.2.0") -> None:
    item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version
