"""The recipe of a count that somebody worked on, beside the files that were written of it."""

from __future__ import annotations

from pathlib import Path

from histoprompt.pipelines.classes.classifier_file import write_classifier
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.step import ClassifyParams
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.count.step import count_chosen
from histoprompt.pipelines.recipes.beside import Needs, keep_recipe
from histoprompt.pipelines.recipes.recipe import RECIPE, Recipe, RecipeStep, read_recipe

# The classifier that gave the cells their classes, beside their files.
CLASSIFIER = "classes.safetensors"


def keep_work_recipe(
    work: KeptCount, folder: Path, how: str = "", classifier: FewShotClassifier | None = None
) -> Path:
    """Write how the cells were counted; what a person did to them since is told, not replayed.

    Parameters
    ----------
    work : KeptCount
    folder : Path
        Of the files.
    how : str
        By what the cells were classified.
    classifier : FewShotClassifier, optional
        That classified them: it is written beside the files, with a recipe that counts and then
        classifies by it.

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
    path = keep_recipe(folder, (RecipeStep("count", params),), facts, used)
    if classifier is not None:
        write_classifier(folder / CLASSIFIER, classifier)
        step = RecipeStep("classify", ClassifyParams(classifier=Path(CLASSIFIER)))
        told = {"slide": work.slide.key, "left out": "classes that a person gave to single cells"}
        keep_recipe(folder / CLASSIFIER, (step,), told, read_recipe(path))
    return path
