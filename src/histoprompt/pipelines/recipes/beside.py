"""The recipe that every command and dock leaves beside its results."""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from histoprompt.core import settings
from histoprompt.core.errors import RecipeError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.durable import make_folder
from histoprompt.core.parameters import fields_of
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.recipes.recipe import (
    OF,
    RECIPE,
    Recipe,
    RecipeStep,
    made_recipe,
    read_recipe,
    recipe_text,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")


@dataclass(frozen=True)
class Needs:
    """Where the files lie that a recipe needs, such as regions that were drawn in a window.

    Attributes
    ----------
    folder : Path
    stem : str
        Begins their names.
    """

    folder: Path
    stem: str

    @classmethod
    def of(cls, recipe: Path) -> Needs:
        """Beside a recipe."""
        return cls(recipe.parent, recipe.name.removesuffix(".toml"))

    @classmethod
    def kept(cls) -> Needs:
        """In a folder of this program, for a command that is copied and run at any time."""
        folder = settings.home() / "commands"
        make_folder(folder)
        return cls(folder, f"{datetime.now():%Y-%m-%d-%H%M%S}-{uuid.uuid4().hex[:6]}")

    def file(self, name: str) -> Path:
        """The path of one of them."""
        return self.folder / f"{self.stem}.{name}"


def save_recipe(path: Path, steps: Sequence[RecipeStep], slide: Slide | None) -> Path:
    """Write what was chosen in a window as a recipe for other slides; raises `ExportError`.

    What it needs and lies beside it is named without a folder, so that both can be moved.
    """
    near = tuple(replace(one, params=_near(one.params, path.parent)) for one in steps)
    facts = {} if slide is None else {"slide": slide.key}
    replace_file(path, recipe_text(made_recipe(near, facts)))
    return path


def placed(params: P, but: Container[str] = ()) -> P:
    """The same parameters with paths that hold wherever the recipe lies.

    `but` are fields that stay as they are: what lies beside the recipe, and words for other things.
    """
    paths = {
        one.name: value.absolute()
        for one in fields_of(type(params))
        if one.kind is Path
        and one.name not in but
        and isinstance(value := getattr(params, one.name), Path)
    }
    return replace(params, **paths)


def _near(params: Any, folder: Path) -> Any:
    paths = {
        one.name: Path(value.name)
        for one in fields_of(type(params))
        if one.kind is Path
        and isinstance(value := getattr(params, one.name), Path)
        and value.parent == folder
    }
    return replace(params, **paths)


def keep_recipe(
    results: Path,
    steps: Sequence[RecipeStep],
    facts: Mapping[str, str] | None = None,
    before: Recipe | None = None,
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
    before : Recipe, optional
        Of what these steps went on from; its models keep the digests they had then.

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
    if before is not None:
        models = {**made.models, **before.models}
        made = replace(made, steps=(*before.steps, *made.steps), models=models)
    replace_file(path, recipe_text(made))
    return path


def recipe_beside(folder: Path) -> Recipe | None:
    """What made the results in a folder; None where no recipe tells."""
    try:
        return read_recipe(folder / RECIPE)
    except RecipeError:
        return None


def _told(path: Path) -> str:
    """What results a recipe is of; empty if it is one that somebody wrote or that is damaged."""
    try:
        return read_recipe(path).facts.get(OF, "")
    except RecipeError:
        return ""
