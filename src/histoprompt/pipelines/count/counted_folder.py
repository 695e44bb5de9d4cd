"""A count as what asks how its cells lie needs it: read back from its folder, or as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from histoprompt.annotations.class_list import is_ignored
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError
from histoprompt.pipelines.count.files import CELLS_PARQUET
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.count.result_folders import MADE
from histoprompt.pipelines.count.store_files import read_settings
from histoprompt.pipelines.formats.regions import Region

_COLUMNS = ["id", "row", "col", "area_um2", "class"]


@dataclass(frozen=True, eq=False)
class CountedFolder:
    """A count as its files tell it.

    Attributes
    ----------
    cells : CellTable
        Without features, and without those of ignored classes.
    mpp : float or None
        Microns a level-0 pixel.
    regions : tuple of Region
        Those it was counted in; empty where it was a box or the whole slide.
    complete : bool
    name : str
        Of the slide.
    """

    cells: CellTable
    mpp: float | None
    regions: tuple[Region, ...]
    complete: bool
    name: str


def read_counted(folder: Path) -> CountedFolder:
    """Read the folder of a count.

    Parameters
    ----------
    folder : Path
        That `histoprompt count` wrote.

    Raises
    ------
    LabelError
        If it holds no count, or its files are damaged.
    """
    made = read_settings(folder / MADE)
    if not isinstance(made, dict) or not (folder / CELLS_PARQUET).is_file():
        raise LabelError(
            f"{folder} holds no count: it needs {MADE} and {CELLS_PARQUET}. Give the folder that "
            "the files of a count were written into."
        )
    try:
        table = pq.read_table(folder / CELLS_PARQUET, columns=_COLUMNS)
    except (pa.ArrowException, OSError) as error:
        raise LabelError(f"{folder / CELLS_PARQUET} cannot be read: {error}") from error
    names = [c or "" for c in table["class"].cast("string").to_pylist()]
    classes = tuple(sorted(set(names)))
    place = {name: code for code, name in enumerate(classes)}
    held = {c: table[c].to_numpy() for c in _COLUMNS[:-1]}
    code = np.array([place[n] for n in names], np.int16)
    cells = CellTable(**held, code=code, classes=classes or ("",))
    mpp = made.get("mpp")
    known = isinstance(mpp, (int, float)) and mpp > 0
    result = made.get("result")
    name = result.get("name", "") if isinstance(result, dict) else ""
    return CountedFolder(
        _that_count(cells), float(mpp) if known else None, _regions(made, folder),  # type: ignore[arg-type]
        bool(made.get("complete", True)), str(name or folder.name),
    )  # fmt: skip


def counted_now(work: KeptCount, cells: CellTable) -> CountedFolder:
    """A count that somebody works on, with the classes that its cells have now."""
    return CountedFolder(
        _that_count(cells).without_features(), work.slide.mpp, tuple(work.ground.regions),
        work.complete, work.slide.name,
    )  # fmt: skip


def _that_count(cells: CellTable) -> CellTable:
    """Without cells of ignored classes."""
    ignored = [code for code, name in enumerate(cells.classes) if is_ignored(name)]
    return cells[~np.isin(cells.code, ignored)] if ignored else cells


def _regions(made: dict[str, Any], folder: Path) -> tuple[Region, ...]:
    try:
        return tuple(Region(name, shapely.from_wkt(text)) for name, text in made["polygons"])
    except KeyError:
        return ()
    except (TypeError, ValueError, shapely.GEOSException) as error:
        raise LabelError(f"{folder / MADE} is damaged: its polygons are none.") from error
