"""Indexing as a step of a recipe."""

from __future__ import annotations

from pathlib import Path

from histoprompt.pipelines.explore.index import IndexParams, build_index
from histoprompt.pipelines.explore.tile_table import TILES, write_tiles
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: IndexParams, folder: Path) -> StepOutput:
    index = build_index(given.slide, params, given.manager, given.task)
    write_tiles(folder / TILES, index)
    return StepOutput(f"{len(index)} tiles", numbers={"tiles": float(len(index))})


def _methods(params: IndexParams) -> str:
    return f"Tiles of tissue were described by the encoder {params.encoder}."


STEP = Step(
    "index",
    "keeps what an encoder sees in each tile of tissue",
    IndexParams,
    _run,
    lambda params: (params.encoder,),
    _methods,
    command=lambda params, slide, out: ["index", slide, *arguments(params), *option("out", out)],
)
