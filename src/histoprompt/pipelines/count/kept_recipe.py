"""The recipe of a count that somebody worked on, beside the files that were written of it."""

from __future__ import annotations

from pathlib import Path

from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.count.step import count_chosen
from histoprompt.pipelines.recipes.beside import Needs, keep_recipe
from histoprompt.pipelines.recipes.recipe import RECIPE, Recipe, RecipeStep


def keep_work_recipe(work: KeptCount, folder: Path, how: str = "") -> Path:
    """Write how the cells were counted; what a person did to them since is told, not replayed.

    Parameters
    ----------
    work : KeptCount
    folder : Path
        Of the files.
    how : str
        By what the cells were classified.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    told, ground = work.job.settings, work.ground
    choice = CountChoice(
        segmenter=str(told.get("segmenter", "")),
        proposer=str(told.get("proposer", CountChoice().proposer)),
        embedding=bool(told.get("embedding")),
        tile=None if work.job.tile is None else int(work.job.tile),
    )
    box = ground.box if ground.user_drawn else None
    needs = Needs.of(folder / RECIPE)
    params = count_chosen(choice, work.slide, box, ground.regions, needs)
    facts = {"slide": work.slide.key}
    facts |= {"left out": f"classes: {how}"} if how else {}
    facts |= {"by hand": str(work.by_hand)} if work.by_hand.touched else {}
    # the weights that counted, which may be others than those that are here now
    used = Recipe((), {choice.segmenter: str(told.get("weights") or "")})
    return keep_recipe(folder, (RecipeStep("count", params),), facts, used)
