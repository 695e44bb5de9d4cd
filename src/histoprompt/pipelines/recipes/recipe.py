"""`recipe.toml`: steps with all of their parameters, and the models they were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from histoprompt import __version__
from histoprompt.core.errors import HistopromptError, RecipeError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import read_toml
from histoprompt.core.parameters import fields_of, from_table, to_table
from histoprompt.models import registry, weights
from histoprompt.pipelines.recipes.step import Step, step

FORMAT = 1
RECIPE = "recipe.toml"
# The fact that names the results a recipe lies beside.
OF = "results"


@dataclass(frozen=True)
class RecipeStep:
    """One step of a recipe.

    Attributes
    ----------
    name : str
    params : dataclass instance
    """

    name: str
    params: Any

    @property
    def step(self) -> Step:
        """What it does."""
        return step(self.name)


@dataclass(frozen=True)
class Recipe:
    """What is done with a slide.

    Attributes
    ----------
    steps : tuple of RecipeStep
    models : mapping of str to str
        Digests of the weights by the ids of models; empty text for a model without weights.
    version : str
        Of the program that wrote it.
    facts : mapping of str to str
        What else is told of its origin, such as where a region came from.
    """

    steps: tuple[RecipeStep, ...]
    models: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__
    facts: Mapping[str, str] = field(default_factory=dict)


def made_recipe(steps: tuple[RecipeStep, ...], facts: Mapping[str, str] | None = None) -> Recipe:
    """A recipe of steps, with the digests that their models have on this machine."""
    named = {model for one in steps for model in one.step.models(one.params)}
    digests = {model: model_digest(model) for model in sorted(named)}
    return Recipe(steps, digests, facts=dict(facts or {}))


def completed(recipe: Recipe) -> Recipe:
    """A recipe that somebody wrote, with this version and the digests that it does not tell."""
    named = made_recipe(recipe.steps).models
    models = {**recipe.models, **{m: d for m, d in named.items() if not recipe.models.get(m)}}
    return replace(recipe, models=models, version=recipe.version or __version__)


def model_digest(model_id: str) -> str:
    """The digest of a model's weights; empty if it has none or they are not here."""
    try:
        return weights.in_use(registry.card(model_id)).digest or ""
    except HistopromptError:
        return ""


def recipe_text(recipe: Recipe) -> str:
    """A recipe as a TOML file holds it."""
    steps = [{"step": one.name, "params": to_table(one.params)} for one in recipe.steps]
    data: dict[str, Any] = {"format": FORMAT, "histoprompt": recipe.version}
    data |= {"from": dict(recipe.facts)} if recipe.facts else {}
    data |= {"models": [{"id": k, "digest": v} for k, v in recipe.models.items()]}
    return tomli_w.dumps({**data, "steps": steps})


def write_recipe(folder: Path, recipe: Recipe) -> Path:
    """Write ``recipe.toml`` beside the results it tells of; raises `ExportError`."""
    path = folder / RECIPE
    replace_file(path, recipe_text(recipe))
    return path


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : Path
        The file; relative paths in it are relative to its folder.

    Raises
    ------
    RecipeError
        If it is none, is of a later version, or names a step or a parameter that there is not.
    """
    data = read_toml(path, RecipeError)
    made = data.get("format", FORMAT)
    version = str(data.get("histoprompt", ""))
    if not isinstance(made, int) or made > FORMAT:
        raise RecipeError(
            f"{path} was written by histoprompt {version or 'of a later version'} (format {made}); "
            f"this is {__version__} (format {FORMAT}). Update histoprompt."
        )
    _check_keys(data, ("format", "histoprompt", "from", "models", "steps"), f"{path} has")
    listed = data.get("steps")
    if not isinstance(listed, list) or not listed:
        raise RecipeError(f"{path} has no steps.")
    steps = tuple(_step(one, n, path) for n, one in enumerate(listed, 1))
    _check_order(steps, path)
    return Recipe(steps, _models(data.get("models", []), path), version, _facts(data.get("from")))


def slide_told(path: Path) -> str | None:
    """The key of the slide whose results a recipe lies beside; None if it does not tell one."""
    try:
        told = read_toml(path, RecipeError).get("from")
    except RecipeError:
        return None
    key = told.get("slide") if isinstance(told, dict) else None
    return key if isinstance(key, str) and key else None


def check_models(recipe: Recipe) -> None:
    """Refuse weights that are others here than those the recipe was made with.

    Raises
    ------
    RecipeError
        Names the first such model, with both digests.
    """
    for model, then in recipe.models.items():
        now = model_digest(model)
        if then and now != then:
            raise RecipeError(
                f"The recipe was made with other weights of {model} ({then[:23]}) than those here "
                f"({now[:23] or 'none'}). Install those, or take the digest out of the recipe."
            )


def _step(one: Any, number: int, path: Path) -> RecipeStep:
    where = f"{path}, step {number}"
    if not isinstance(one, dict) or not isinstance(one.get("step"), str):
        raise RecipeError(f"{where} has no name.")
    _check_keys(one, ("step", "params"), f"{where}, {one['step']}, has")
    params = one.get("params", {})
    if not isinstance(params, dict):
        raise RecipeError(f"{where}: params must be a table.")
    kind = step(one["step"]).params
    try:
        return RecipeStep(
            one["step"], from_table(kind, _placed(params, kind, path.parent.absolute()))
        )
    except RecipeError:
        raise
    except HistopromptError as error:
        raise RecipeError(f"{where}, {one['step']}: {error}") from error


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    """Refuse a key in the wrong place: what it asks for would be left out in silence."""
    unknown = sorted(set(table) - set(known))
    if unknown:
        hint = " Parameters of a step stand below it, under [steps.params]." * ("params" in known)
        raise RecipeError(
            f"{what} {', '.join(unknown)}, which is unknown there. Known are {', '.join(known)}."
            + hint
        )


def _placed(params: dict[str, Any], kind: type, folder: Path) -> dict[str, Any]:
    """Paths relative to the recipe as paths that hold wherever the recipe is copied to."""
    paths = {one.name for one in fields_of(kind) if one.kind is Path}
    return {
        name: str(folder / value) if name in paths and isinstance(value, str) else value
        for name, value in params.items()
    }


def _check_order(steps: tuple[RecipeStep, ...], path: Path) -> None:
    before: set[str] = set()
    for one in steps:
        needed = one.step.after
        if needed and not before & set(needed) and not one.step.alone(one.params):
            raise RecipeError(f"{path}: {one.name} must come after {' or '.join(needed)}.")
        if one.name in before:
            raise RecipeError(f"{path} has the step {one.name} twice.")
        before.add(one.name)


def _models(listed: Any, path: Path) -> dict[str, str]:
    if not isinstance(listed, list) or not all(isinstance(m, dict) for m in listed):
        raise RecipeError(f"{path}: models must be a list of tables with id and digest.")
    for model in listed:
        _check_keys(model, ("id", "digest"), f"{path}: a model has")
    return {str(m.get("id", "")): str(m.get("digest", "")) for m in listed}


def _facts(found: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
