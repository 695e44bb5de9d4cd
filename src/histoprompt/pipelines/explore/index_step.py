"""Indexing as a step of a recipe."""

from __future__ import annotations

from pathlib import Path

from histoprompt.pipelines.explore.cells import CellIndexParams
from histoprompt.pipelines.explore.indexing import index_slide
from histoprompt.pipelines.explore.tile_table import TILES, write_tiles
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: CellIndexParams, folder: Path) -> StepOutput:
    index = index_slide(given.slide, params, given.manager, given.task)
    write_tiles(folder / TILES, index)
    return StepOutput(f"{index.counted} indexed", numbers={"tiles": float(len(index))})


def _methods(params: CellIndexParams) -> str:
    what = "Cells" if params.cells else "Tiles of tissue"
    return f"{what} were described by the encoder {params.encoder}."


STEP = Step(
    "index",
    "keeps what an encoder sees in each tile of tissue",
    CellIndexParams,
    _run,
    lambda params: (params.encoder,),
    _methods,
    command=lambda params, slide, out: ["index", slide, *arguments(params), *option("out", out)],
)
