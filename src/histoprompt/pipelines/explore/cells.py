"""The index of counted cells: what an encoder saw of each cell of a count.

Either the features that the network of nuclei left in the table of a count, which cost nothing, or
crops around the cells, which any encoder looks at once and which are kept as tiles are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, MissingMppError
from histoprompt.core.parameters import Parameter
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.embedding.cell_crops import crop_size, crops_of, on_slide
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.explore.cell_places import cell_boxes
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.formats.cell_files import read_cells

CELLS_CSV = "cells.csv"
# Names of the columns in which the network of nuclei leaves what it saw of a cell.
NETWORK = "net_"


@dataclass(frozen=True)
class CellIndexParams(IndexParams):
    """Which encoder looks at what: tiles, or the cells of a count.

    Attributes
    ----------
    cells : Path or None
        The folder of a count; of several slides, a folder that holds a folder per slide.
    """

    cells: Annotated[
        Path | None,
        Parameter("Cells of", "The folder of a count: its cells in place of tiles."),
    ] = None

    @property
    def from_table(self) -> bool:
        """Whether what the network of nuclei left in the table of the count is taken."""
        return self.cells is not None and registry.card(self.encoder).role == "cells"

    def embed_job(self, manager: ModelManager, stores: Path | None = None) -> EmbedJob | None:
        """What looking runs with; None where nothing is looked at. Raises as `job`."""
        return None if self.from_table else self.job(manager, stores)


def index_cells(
    slide: Slide,
    params: CellIndexParams,
    manager: ModelManager,
    task: Task,
    *,
    name: str = "",
    stores: Path | None = None,
) -> SlideIndex:
    """What an encoder sees of each counted cell of a slide.

    Parameters
    ----------
    slide : Slide
    params : CellIndexParams
        With cells.
    manager : ModelManager
    task : Task
        Crops that were looked at before a cancel are kept.
    name : str
        Of the slide, for people and the folder of its count.
    stores : Path, optional

    Raises
    ------
    LabelError
        If there is no table of cells, it has none, or it lacks the features asked for.
    MissingMppError
        If the slide has no pixel size.
    ModelError, ExportError, Cancelled
        As for `build_index`.
    """
    name = name or slide.name
    cells = read_cells(_table(params.cells or Path(), name))
    return index_table(slide, cells, params, manager, task, name=name, stores=stores)


def index_table(
    slide: Slide,
    cells: CellTable,
    params: IndexParams,
    manager: ModelManager,
    task: Task,
    *,
    name: str = "",
    stores: Path | None = None,
) -> SlideIndex:
    """As `index_cells`, of cells that are at hand."""
    if slide.mpp is None:
        raise MissingMppError(f"{slide.name} does not state its pixel size.")
    name = name or slide.name
    from_table = registry.card(params.encoder).role == "cells"
    cells = cells[on_slide(cells, slide)]
    if from_table:
        cells, vectors = _network_features(cells, name)
        side, pixels, digest = 0, 0, ""
    else:
        job = params.job(manager, stores)
        (side, pixels), digest = crop_size(slide, job), job.digest
        vectors = crops_of(slide, cells, job, task)
    if not len(cells):
        raise LabelError(f"The count of {name} has no cell on the slide.")
    return SlideIndex(
        slide=slide.key,
        name=name,
        path=slide.path or "",
        mpp=slide.mpp,
        shape=slide.shape,
        encoder=params.encoder,
        digest=digest,
        words=not from_table and registry.card(params.encoder).role == "text",
        boxes=cell_boxes(cells, slide.mpp, slide.shape),
        vectors=vectors,
        flags={},
        side=side,
        pixels=pixels,
        step=0,
        places=np.zeros((0, 2), np.int32),
        grid=(0, 0),
        ids=cells.id,
    )


def _table(folder: Path, name: str) -> Path:
    """The table of a slide's cells in a folder of one count, or of several."""
    for path in (folder / name / CELLS_CSV, folder / name / "count" / CELLS_CSV):
        if path.is_file():
            return path
    return folder / CELLS_CSV


def _network_features(cells: CellTable, name: str) -> tuple[CellTable, TileVectors]:
    """What the network of nuclei saw of the cells that it saw."""
    columns = [k for k, column in enumerate(cells.feature_names) if column.startswith(NETWORK)]
    if not columns:
        raise LabelError(
            f"The count of {name} does not carry what its network saw of the cells (columns "
            f"{NETWORK}...). Count again with the features of the network, or choose an encoder "
            "of tiles, which looks at the cells."
        )
    seen = cells.features[:, columns]
    known: NDArray[np.bool_] = np.asarray(np.isfinite(seen).all(axis=1), bool)
    vectors = np.ascontiguousarray(seen[known], np.float32)
    return cells[known], TileVectors(vectors, np.arange(len(vectors)))
