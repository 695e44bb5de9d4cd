"""One slide and one recipe: what a worker is given, does and gives back. Nothing large travels."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

from histoprompt.core.errors import Cancelled, HistopromptError, RecipeError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.locks import FolderLock, InUseError
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.recipes.recipe import (
    OF,
    RECIPE,
    Recipe,
    RecipeStep,
    check_models,
    read_recipe,
    recipe_text,
)
from histoprompt.pipelines.recipes.shares import Signals
from histoprompt.pipelines.recipes.step import StepInput, StepOutput

OUTPUT = "output.json"


@dataclass(frozen=True)
class Unit:
    """A slide to work on.

    Attributes
    ----------
    name : str
    path : str
        A file, a folder or an address that every worker can open.
    folder : str
        Of its results.
    recipe : str
        The recipe's file.
    mpp : float or None
        As typed.
    device : str
    trust_size : bool
    stop : str
        A file: once it is there, workers stop after what they have in hand.
    key : str
        Of the slide, where it is known: another slide at the same place is refused.
    blocks : int
        Into how many blocks of tiles the slide is divided for the workers; 1 for a slide at a time.
    """

    name: str
    path: str
    folder: str
    recipe: str
    mpp: float | None = None
    device: str = "auto"
    trust_size: bool = False
    stop: str = ""
    key: str = ""
    blocks: int = 1


@dataclass(frozen=True)
class UnitResult:
    """What came of it.

    Attributes
    ----------
    name : str
    state : {"done", "failed", "stopped"}
    told : tuple of str
        A line per step.
    notes : tuple of str
    numbers : mapping of str to float
    fault : str
        Why it failed.
    seconds : float
        Of work; what was done before takes none.
    """

    name: str
    state: str
    told: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""
    seconds: float = 0.0


def run_unit(unit: Unit) -> UnitResult:
    """Do all steps of a recipe with one slide; those that were done before are not done again.

    Whatever the slide does becomes the state of the result: it never ends a batch.
    """
    start = time.perf_counter()
    told: list[str] = []
    outputs: list[StepOutput] = []
    state, fault = "done", ""
    try:
        recipe, task = _begun(unit), _task(unit)
        make_folder(own_folder(Path(unit.folder)))
        with FolderLock(Path(unit.folder)), _slide(unit) as slide:
            given = StepInput(slide, Path(unit.folder), _manager(unit.device), task)
            for n, one in enumerate(recipe.steps):
                part = task.part(n / len(recipe.steps), (n + 1) / len(recipe.steps))
                outputs.append(do_step(one, replace(given, task=part), recipe))
                told.append(f"{one.name}: {outputs[-1].told}")
                if not outputs[-1].complete:
                    raise Cancelled
    except Cancelled:
        state = "stopped"
    except InUseError as error:
        state, fault = "failed", f"another run works in {unit.folder} ({error.who})."
    except HistopromptError as error:
        state, fault = "failed", " ".join(str(error).split())
    except OSError as error:
        state, fault = "failed", f"{error.filename or unit.path}: {error.strerror or error}."
    notes = tuple(note for one in outputs for note in (*one.passing, *one.notes))
    numbers = {k: float(v) for one in outputs for k, v in one.numbers.items()}
    seconds = time.perf_counter() - start
    return UnitResult(unit.name, state, tuple(told), notes, numbers, fault, seconds)


def look_at_block(unit: Unit, block: int) -> None:
    """Look at a block of tiles of a slide, for the step that takes blocks.

    What is wrong with the slide is told by `run_unit`, which then does all of it.
    """
    with contextlib.suppress(HistopromptError, OSError):
        recipe = _begun(unit)
        with _slide(unit) as slide:
            task = _task(unit, block)
            given = StepInput(slide, Path(unit.folder), _manager(unit.device), task)
            for one in recipe.steps:
                folder = own_folder(given.folder / one.name)
                if one.step.ahead and _kept(folder, _step_text(one, slide, recipe)) is None:
                    one.step.ahead(given, one.params, folder, (block, unit.blocks))


def _begun(unit: Unit) -> Recipe:
    """The recipe of a unit whose run goes on, with the weights that it was made with."""
    signals = Signals.at(unit.stop)
    if signals is not None and signals.stopped():
        raise Cancelled
    recipe = read_recipe(Path(unit.recipe))
    check_models(recipe)
    return recipe


@contextlib.contextmanager
def _slide(unit: Unit) -> Iterator[Slide]:
    with open_slide(unit.path, unit.mpp, trust_size=unit.trust_size) as slide:
        _check_key(unit, slide)
        yield slide


def do_step(one: RecipeStep, given: StepInput, recipe: Recipe) -> StepOutput:
    """Do a step, or take what it gave before if it was done with the same slide and parameters.

    Its ``recipe.toml`` is written last: a folder without was not finished.
    """
    folder = own_folder(given.folder / one.name)
    text = _step_text(one, given.slide, recipe)
    before = _kept(folder, text)
    if before is not None:
        return before
    done = one.step.run(given, one.params, folder)
    if done.complete:
        replace_file(folder / OUTPUT, json.dumps(asdict(replace(done, passing=())), indent=1))
        replace_file(folder / RECIPE, text)
    return done


def _step_text(one: RecipeStep, slide: Slide, recipe: Recipe) -> str:
    """The recipe of one step on one slide, as it lies beside the step's results."""
    models = {m: recipe.models.get(m, "") for m in one.step.models(one.params)}
    facts = {
        OF: one.name,
        "slide": slide.key,
        "mpp": "" if slide.mpp is None else f"{slide.mpp:.6g}",
    }
    return recipe_text(Recipe((one,), models, facts=facts))


def _kept(folder: Path, text: str) -> StepOutput | None:
    try:
        if (folder / RECIPE).read_text(encoding="utf-8") != text:
            return None
        kept = json.loads((folder / OUTPUT).read_text(encoding="utf-8"))
        return StepOutput(
            str(kept["told"]), True, tuple(map(str, kept["notes"])), dict(kept["numbers"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_key(unit: Unit, slide: Slide) -> None:
    if unit.key and unit.key != slide.key:
        raise RecipeError(
            f"{unit.path} is another slide than the one of the project. Put the old file back, or "
            "remove its cell `key` to take the new one."
        )


@cache
def _manager(device: str) -> ModelManager:
    """One per process: models are loaded once, however many slides a worker is given."""
    return ModelManager(device=device)


def _task(unit: Unit, block: int | None = None) -> Task:
    """A task that tells how far it is, and is cancelled once the run is stopped."""
    signals = Signals.at(unit.stop)
    return Task() if signals is None else signals.task(unit.folder, block)
