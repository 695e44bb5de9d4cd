"""A recipe on many slides: into one folder, resumed where it stopped, with one table at the end."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from histoprompt.core.errors import Cancelled, RecipeError
from histoprompt.core.files.atomic import replace_file, replacing_file
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.locks import FolderLock, InUseError
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.files.tables import table_writer
from histoprompt.core.task import Task
from histoprompt.pipelines.recipes.beside import keep_recipe
from histoprompt.pipelines.recipes.engines import Scheduler, work_through
from histoprompt.pipelines.recipes.recipe import Recipe, completed, write_recipe
from histoprompt.pipelines.recipes.shares import Signals, told
from histoprompt.pipelines.recipes.step import ProjectInput, StepOutput
from histoprompt.pipelines.recipes.unit import Unit, UnitResult

RUN_JSON, SUMMARY = "run.json", "summary.csv"
_RUN = ".run"
# How often a cancel is looked for, in seconds, and after how many looks it is told how far all is.
_LOOK, _TELL = 0.1, 5


@dataclass(frozen=True)
class Ran:
    """What came of a run.

    Attributes
    ----------
    folder : Path
    results : tuple of UnitResult
        In the order of the slides.
    """

    folder: Path
    results: tuple[UnitResult, ...]

    @property
    def failed(self) -> tuple[UnitResult, ...]:
        """Slides that were set aside."""
        return tuple(r for r in self.results if r.state == "failed")

    @property
    def stopped(self) -> bool:
        """Whether something is left to do."""
        return any(r.state == "stopped" for r in self.results)


def run_recipe(
    recipe: Recipe, units: Sequence[Unit], out: Path, scheduler: Scheduler, task: Task
) -> Ran:
    """Do a recipe with slides.

    Parameters
    ----------
    recipe : Recipe
    units : sequence of Unit
        Slides, each with a folder of its own; what they say of the recipe's file is filled in.
    out : Path
        Of ``recipe.toml``, ``summary.csv`` and ``run.json``.
    scheduler : Scheduler
    task : Task
        Cancelled, the run stops after what workers have in hand, and goes on there next time.

    Raises
    ------
    RecipeError
        If another run works in the folder, or two slides have one folder.
    ExportError
        If the folder cannot be written.
    """
    _check_apart(units)
    recipe = completed(recipe)
    make_folder(own_folder(out / _RUN))
    with _alone(out / _RUN):
        signals = Signals((out / _RUN).absolute(), uuid.uuid4().hex[:8])
        file, stop = write_recipe(out, recipe).absolute(), signals.stop
        units = [replace(u, recipe=str(file), stop=str(stop)) for u in units]
        found: dict[str, UnitResult] = {}
        with _watched(signals, units, found, task):
            for result in work_through(units, scheduler):
                found[result.name] = result
        ordered = tuple(found.get(u.name, UnitResult(u.name, "stopped")) for u in units)
        _write(out, ordered)
    return Ran(out, ordered)


def takes_project(recipe: Recipe, *, given: bool) -> bool:
    """Whether a recipe is done with a project as a whole; `given` says that one is there."""
    kinds = [one.step for one in recipe.steps]
    if any(not kind.slides for kind in kinds):
        return True
    return given and len(kinds) == 1 and kinds[0].project is not None


def run_on_project(recipe: Recipe, given: ProjectInput) -> StepOutput:
    """Do a step that takes all slides of a project at once, and leave the recipe beside it.

    Raises
    ------
    RecipeError
        If the recipe has another step too, or its step works on slides.
    """
    step = recipe.steps[0]
    if len(recipe.steps) > 1 or step.step.project is None:
        raise RecipeError(
            "A step that works on a whole project must be the only one of its recipe."
        )
    made = step.step.project(given, step.params)
    keep_recipe(given.folder, recipe.steps, dict(recipe.facts))
    return made


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        lock = FolderLock(folder)
    except InUseError as error:
        raise RecipeError(
            f"Another run works in {folder.parent} ({error.who}). Wait for it, or choose another "
            "folder."
        ) from error
    with lock:
        yield


@contextlib.contextmanager
def _watched(
    signals: Signals, units: Sequence[Unit], found: Mapping[str, UnitResult], task: Task
) -> Iterator[None]:
    """Tell how far all workers are, and stop them by a file as soon as the task is cancelled."""
    signals.begin()
    ended = threading.Event()

    def watch() -> None:
        looks = 0
        while not ended.wait(_LOOK):
            if task.cancelled:
                signals.stop.touch()
                return
            looks += 1
            if looks % _TELL == 0:
                _tell(signals, units, found, task)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        _tell(signals, units, found, task)
        signals.begin()


def _tell(
    signals: Signals, units: Sequence[Unit], found: Mapping[str, UnitResult], task: Task
) -> None:
    """Report; a cancel goes to the workers by a file, so that what they have in hand is kept."""
    done = [1.0 if u.name in found else signals.done(u.folder, u.blocks) for u in units]
    share = sum(done) / max(1, len(done))
    finished = len(found)
    with contextlib.suppress(Cancelled):
        task.part(share, share).step(finished, len(units), told(done, finished))


def _check_apart(units: Sequence[Unit]) -> None:
    folders: dict[str, str] = {}
    for unit in units:
        if unit.folder in folders:
            raise RecipeError(
                f"{folders[unit.folder]} and {unit.name} would both write to {unit.folder}."
            )
        folders[unit.folder] = unit.name


def _write(out: Path, results: Sequence[UnitResult]) -> None:
    numbers = list(dict.fromkeys(name for r in results for name in r.numbers))
    head = ["slide", "state", *numbers, "seconds", "fault", "notes"]
    path = out / SUMMARY
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, head, names=("slide", "fault", "notes"))
        for one in results:
            values = (f"{one.numbers[n]:.6g}" if n in one.numbers else "" for n in numbers)
            told = (f"{one.seconds:.1f}", one.fault, " | ".join(one.notes))
            write([one.name, one.state, *values, *told])
    replace_file(out / RUN_JSON, json.dumps([asdict(r) for r in results], indent=1))
