"""`histoprompt index`: what an encoder sees in the tiles of slides, kept for all that follows."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.ending import each
from histoprompt.cli.options import add_device, add_mpp, add_trust_size
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.stain.look import look_at
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.explore.cells import CellIndexParams
from histoprompt.pipelines.explore.index import SlideIndex
from histoprompt.pipelines.explore.indexing import index_slide
from histoprompt.pipelines.explore.tile_table import TILES, write_tiles
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep


def add(index: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slides(index, "tables of the tiles; default: in the project, else none")
    add_parameters(index, CellIndexParams)
    add_device(index)
    add_mpp(index)
    add_trust_size(index)
    index.set_defaults(run=_index)


def _index(args: argparse.Namespace) -> int:
    params = read_parameters(CellIndexParams, args)
    manager = ModelManager(device=args.device)
    job = params.embed_job(manager)
    if job is not None and job.card.robustness_text:
        say(f"note: {job.card.title}: {job.card.robustness_text}")
    slides = named_slides(args.slides, args.out, without_out=True)
    taken: list[Path] = []

    def index_one(named: NamedSlide) -> int:
        with named.open(args) as slide:
            for doubt in look_at(slide):
                say(f"note: {slide.name}: {doubt}.")
            index = index_slide(slide, params, manager, args.task, name=named.name)
            kept = "" if job is None else f", kept in {job.stores}"
            tell(f"{named.name}: {index.counted}{kept}")
            if args.out is None and named.folder is None:
                return 0
            folder = args.out
            if folder is None or len(slides) > 1:
                folder = free_folder(*named.place(args.out, "index"), slide.key, taken)
            taken.append(folder)
            args.task.repeat()
            _write(folder, index, params)
        return 0

    return each(slides, index_one, args.task, ("slide", "slides"))


def _write(folder: Path, index: SlideIndex, params: CellIndexParams) -> None:
    """The table of the tiles, and the recipe beside it."""
    write_tiles(folder / TILES, index)
    keep_recipe(folder, (RecipeStep("index", placed(params)),), {"slide": index.slide})
    tell(f"{index.counted} -> {folder / TILES}")
