"""Tiles or cells of a slide, as they are kept or looked at now."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.building import build_index, open_index
from histoprompt.pipelines.explore.cells import CellIndexParams, index_cells
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex


def index_slide(
    slide: Slide,
    params: IndexParams,
    manager: ModelManager,
    task: Task,
    *,
    name: str = "",
    first: Box | None = None,
    stores: Path | None = None,
) -> SlideIndex:
    """The index that parameters ask for; parameters and errors as for `build_index`."""
    if isinstance(params, CellIndexParams) and params.cells is not None:
        return index_cells(slide, params, manager, task, name=name, stores=stores)
    found = open_index(slide, params, manager, stores)
    if found is not None:
        return found
    return build_index(slide, params, manager, task, name=name, first=first, stores=stores)
