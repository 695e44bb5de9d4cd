"""A step: something that is done with a slide, known by name and by its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from histoprompt.core.errors import RecipeError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager

# Every step there is, and the module that holds it as STEP. A new one is a line here.
STEPS: dict[str, str] = {
    "count": "histoprompt.pipelines.count.step",
    "score": "histoprompt.pipelines.text.step",
    "classify": "histoprompt.pipelines.classes.step",
    "audit": "histoprompt.pipelines.count.audit_step",
    "report": "histoprompt.pipelines.count.report_step",
    "export": "histoprompt.pipelines.exchange.step",
    "anomaly": "histoprompt.pipelines.explore.anomaly.step",
    "cluster": "histoprompt.pipelines.explore.scenes.step",
    "tiles": "histoprompt.pipelines.explore.tile_classes.step",
    "concepts": "histoprompt.pipelines.explore.concepts.step",
    "segment": "histoprompt.pipelines.prompts.step",
    "search": "histoprompt.pipelines.explore.search_step",
    "relate": "histoprompt.pipelines.relate.step",
    "index": "histoprompt.pipelines.explore.index_step",
    "tag": "histoprompt.pipelines.tags.step",
    "detect": "histoprompt.pipelines.tags.detect_step",
    "align": "histoprompt.pipelines.align.step",
}


@dataclass(frozen=True)
class StepInput:
    """What a step works on.

    Attributes
    ----------
    slide : Slide
    folder : Path
        Holds the results of all steps of this slide, a folder per step.
    manager : ModelManager
    task : Task
    """

    slide: Slide
    folder: Path
    manager: ModelManager
    task: Task


@dataclass(frozen=True)
class ProjectInput:
    """What a step works on that takes a whole project.

    Attributes
    ----------
    project : Path
        Its folder.
    folder : Path
        Of the results.
    manager : ModelManager
    task : Task
    """

    project: Path
    folder: Path
    manager: ModelManager
    task: Task


@dataclass(frozen=True)
class StepOutput:
    """What came of a step.

    Attributes
    ----------
    told : str
        One line.
    complete : bool
        False if it was cancelled and can go on.
    notes : tuple of str
        What a person should know.
    numbers : mapping of str to float
        For the table over all slides.
    passing : tuple of str
        Notes of this run alone, which are told and not kept.
    """

    told: str
    complete: bool = True
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    passing: tuple[str, ...] = ()


def _no_command(_: Any, slide: str, out: str) -> None:
    """A step that only a recipe can do."""


@dataclass(frozen=True)
class Step:
    """A kind of step.

    Attributes
    ----------
    name : str
        Of the step, and of the folder of its results.
    about : str
        What it does, as the end of "This step ...".
    params : type
        Dataclass of its parameters.
    run : callable
        From `StepInput`, the parameters and the folder of its results to `StepOutput`.
    models : callable
        The ids of the models that parameters name.
    methods : callable
        A sentence for the methods of a paper.
    after : tuple of str
        Steps of which it needs one before it.
    alone : callable
        Whether parameters name what else it works on, so that no step need come before.
    command : callable
        From the parameters, a slide and a folder for results to the arguments of the command that
        does the same; None where there is none.
    ahead : callable or None
        Looks at a share of a slide, so that `run` need not: from `StepInput`, the parameters, the
        folder of its results and the share (which one of how many). `run` gives the same with it
        and without.
    project : callable or None
        Of a step that works on a project as a whole: from `ProjectInput` and the parameters to
        `StepOutput`. It is the only one of its recipe then.
    slides : bool
        Whether it works on single slides.
    """

    name: str
    about: str
    params: type
    run: Callable[[StepInput, Any, Path], StepOutput]
    models: Callable[[Any], tuple[str, ...]]
    methods: Callable[[Any], str]
    after: tuple[str, ...] = ()
    alone: Callable[[Any], bool] = lambda _: False
    command: Callable[[Any, str, str], Sequence[str] | None] = _no_command
    ahead: Callable[[StepInput, Any, Path, tuple[int, int]], None] | None = None
    project: Callable[[ProjectInput, Any], StepOutput] | None = None
    slides: bool = True


def step(name: str) -> Step:
    """The step of a name.

    Raises
    ------
    RecipeError
        If there is none; the message names those there are.
    """
    if name not in STEPS:
        raise RecipeError(f"There is no step {name!r}. There are {', '.join(sorted(STEPS))}.")
    found = import_module(STEPS[name]).STEP
    if not isinstance(found, Step):
        raise TypeError(f"{STEPS[name]}.STEP is no Step.")
    return found
