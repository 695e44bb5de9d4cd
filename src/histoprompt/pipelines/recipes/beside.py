"""The recipe that every command and dock leaves beside its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from histoprompt.core.errors import RecipeError
from histoprompt.core.files.atomic import replace_file
from histoprompt.pipelines.recipes.recipe import (
    OF,
    RECIPE,
    RecipeStep,
    made_recipe,
    read_recipe,
    recipe_text,
)


def keep_recipe(
    results: Path, steps: Sequence[RecipeStep], facts: Mapping[str, str] | None = None
) -> Path:
    """Write what was done beside what came of it, so that it can be done again.

    It is ``recipe.toml``; where that tells of other results, ``NAME.recipe.toml``, so that no
    recipe is lost.

    Parameters
    ----------
    results : Path
        The folder that holds them, or their file.
    steps : sequence of RecipeStep
        The last one made the results.
    facts : mapping of str to str, optional
        What else is told of their origin.

    Returns
    -------
    Path
        The recipe.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    folder, of = (results, steps[-1].name) if results.is_dir() else (results.parent, results.name)
    path = folder / RECIPE
    if path.exists() and _told(path) != of:
        path = folder / f"{Path(of).stem}.{RECIPE}"
    made = made_recipe(tuple(steps), {OF: of, **(facts or {})})
    replace_file(path, recipe_text(made))
    return path


def steps_beside(folder: Path) -> tuple[RecipeStep, ...]:
    """The steps that made the results in a folder; none where no recipe tells."""
    try:
        return read_recipe(folder / RECIPE).steps
    except RecipeError:
        return ()


def _told(path: Path) -> str:
    """What results a recipe is of; empty if it is one that somebody wrote or that is damaged."""
    try:
        return read_recipe(path).facts.get(OF, "")
    except RecipeError:
        return ""
