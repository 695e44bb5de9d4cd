"""A project in a viewer: slides opened one by one, states and pictures in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.layers.removing import take_away
from histoprompt._qt.project.slide_table import SIDE
from histoprompt._qt.reader import greet, slide_layers
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.shell.trusting import trusts_size
from histoprompt._qt.widgets.pictures import pixmap_of
from histoprompt.core.errors import HistopromptError, ParameterError, SlideTooLargeError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.slides.thumbnail import thumbnail
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.overview.status import SlideState, states
from histoprompt.pipelines.overview.summary import write_summary
from histoprompt.pipelines.project.check import Problem, check_project, filled
from histoprompt.pipelines.project.classes import give_classes, keep_classes
from histoprompt.pipelines.project.gather import gathered
from histoprompt.pipelines.project.project import (
    Project,
    add_slides,
    new_project,
    open_project,
)
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.recipes.command import CommandPlace
from histoprompt.pipelines.recipes.engines import Scheduler
from histoprompt.pipelines.recipes.preflight import preflight
from histoprompt.pipelines.recipes.recipe import Recipe, read_recipe
from histoprompt.pipelines.recipes.run import Ran, run_on_project, run_recipe, takes_project
from histoprompt.pipelines.recipes.step import ProjectInput, StepOutput
from histoprompt.pipelines.recipes.unit import Unit


class ProjectController:
    """Opens, fills and runs one project.

    Attributes
    ----------
    project : Project or None
    recipe : Path or None
        The one that was run last.
    current : ProjectSlide or None
        The one that was opened last.
    changed : Signal
        Another project, or other slides in it.
    states : Signal(list of SlideState)
    picture : Signal(str, QPixmap or None)
        Of the slide of an id.
    said : Signal(str)
    opened : Signal(ProjectSlide)
    """

    changed, states, picture = Signal(), Signal(list), Signal(str, object)
    said, opened = Signal(str), Signal(object)

    def __init__(self, session: Session) -> None:
        self._session = session
        self.work = BatchWork(session.jobs, "Stopped. What was finished is kept.")
        self.project: Project | None = None
        self.recipe: Path | None = None
        self.current: ProjectSlide | None = None
        self._layers: list[Image] = []
        self._wanted: deque[str] = deque()
        self._loading = False

    # -- projects --------------------------------------------------------------------------------

    def open(self, folder: Path) -> None:
        """Turn to the project in a folder, or say why not."""
        try:
            self._take(open_project(folder))
        except HistopromptError as error:
            self.said.emit(told(error))

    def make(self, folder: Path) -> None:
        """Make a project in a folder, and turn to it."""
        try:
            self._take(new_project(folder))
        except HistopromptError as error:
            self.said.emit(told(error))

    def add(self, places: Sequence[Path]) -> None:
        """Add slides, folders of slides, tables or a QuPath project, in the background."""
        if self.project is not None:
            self.work.run(
                _add, self.project, tuple(places), title="Adding slides", done=self._on_added
            )

    def refresh(self) -> None:
        """Read the table anew, and look at what was made of each slide."""
        if self.project is not None:
            self.open(self.project.folder)

    def _take(self, project: Project) -> None:
        self.project = project
        self._wanted.clear()
        self.changed.emit()
        self._session.jobs.submit(
            _states, project, lane="files", key="project states",
            title="Looking at the project", on_done=self._on_states, aside=True,
        )  # fmt: skip
        self.said.emit(f"{project.name}: {many(len(project), 'slide')}.")

    def _on_added(self, found: tuple[Project, list[str]]) -> None:
        project, notes = found
        self._take(project)
        if notes:
            self.said.emit(" ".join(notes[:3]))

    def _on_states(self, found: list[SlideState]) -> None:
        self.states.emit(found)

    # -- slides ----------------------------------------------------------------------------------

    def show(self, slide_id: str, *, trusted: bool = False) -> None:
        """Open a slide in place of the one that was opened here before.

        `trusted` is whether the person trusts the size that its file claims.
        """
        if self.project is None:
            return
        slide = self.project.slide(slide_id)
        self._session.jobs.submit(
            _open, self.project, slide, trusted, lane="files", key="project slide",
            title=f"Opening {slide.id}", on_done=self._on_opened, aside=True,
        )  # fmt: skip

    def step(self, by: int, order: Sequence[str]) -> None:
        """Open the next slide of an order, or the one before it."""
        if not order:
            return
        here = self.current.id if self.current else ""
        place = order.index(here) + by if here in order else 0
        if 0 <= place < len(order):
            self.show(order[place])
        else:
            self.said.emit("This was the last slide." if by > 0 else "This was the first slide.")

    def _on_opened(self, found: _Opened) -> None:
        if found.refused is not None or found.slide is None:
            window = getattr(self._session.viewer, "window", None)
            parent = getattr(window, "_qt_window", None)
            if found.refused is not None and trusts_size(found.place, found.refused, parent):
                self.show(found.line.id, trusted=True)
            else:
                self.said.emit(f"{found.line.id} was not opened: {found.refused}")
            return
        self.current = found.line
        before, viewer = self._layers, self._session.viewer
        made = slide_layers(found.slide, trusted=found.trusted)
        self._layers = [viewer.add_image(data, **arguments) for data, arguments, _ in made]
        greet(viewer, [found.slide])
        if self._session.slide.image is self._layers[0]:
            # their labels are on disk; a study has thousands of slides
            take_away(viewer, [layer for layer in before if layer in viewer.layers])
        self.said.emit(f"{self.current.id} is open.")
        self.opened.emit(self.current)

    def want(self, slide_id: str) -> None:
        """Make the picture of a slide that came into sight; the latest ones first."""
        self._wanted.append(slide_id)
        if not self._loading:
            self._next_picture()

    def _next_picture(self) -> None:
        self._loading = bool(self._wanted) and self.project is not None
        if self._loading and self.project is not None:
            slide = self.project.slide(self._wanted.pop())
            self._session.jobs.submit(
                _picture, self.project, slide, lane="files", title="A picture of a slide",
                on_done=self._on_picture, aside=True,
            )  # fmt: skip

    def _on_picture(self, found: tuple[Project, str, NDArray[np.uint8] | None]) -> None:
        project, name, picture = found
        if project is self.project:
            self.picture.emit(name, None if picture is None else pixmap_of(picture))
        self._next_picture()

    # -- over all slides -------------------------------------------------------------------------

    def check(self) -> None:
        """Open every slide and say what must be mended."""
        if self.project is not None:
            self.work.run(_check, self.project, title="Checking slides", done=self._on_checked)

    def run(self, recipe: Path, processes: int = 1) -> None:
        """Do a recipe with all slides, in one or several processes of this machine."""
        if self.project is None:
            return
        try:
            read = read_recipe(recipe)
        except HistopromptError as error:
            self.said.emit(told(error))
            return
        self.recipe = recipe
        if takes_project(read, given=True):
            self.work.run(
                _run_whole, self.project, read, self._session.manager,
                title="Running the recipe", done=self._on_whole,
            )  # fmt: skip
            return
        where = Scheduler("here") if processes == 1 else Scheduler("local", processes)
        self.work.run(
            _run, self.project, read, where, title="Running the recipe", done=self._on_ran
        )

    def summarise(self) -> None:
        """Write the table over all slides."""
        if self.project is not None:
            self.work.run(
                _summarise, self.project, title="Writing the table", done=self._on_summary
            )

    def words(self, _: CommandPlace) -> list[str]:
        """The arguments of the command that runs the same recipe on the project."""
        if self.project is None or self.recipe is None:
            raise ParameterError("Open a project and run a recipe first.")
        return ["run", str(self.recipe.absolute()), str(self.project.folder)]

    def _on_whole(self, made: StepOutput) -> None:
        self.said.emit(" ".join((f"{made.told}.", *made.notes)))

    def _on_summary(self, written: tuple[Path, int]) -> None:
        path, rows = written
        self.said.emit(f"{rows:,} lines are in {path}.")

    def _on_checked(self, found: list[Problem]) -> None:
        told = [f"{p.slide} {p.text}".strip() for p in found[:5]]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        self.said.emit(" ".join(told) + more if found else "Every slide can be used.")

    def _on_ran(self, ran: Ran) -> None:
        self.refresh()
        done = sum(result.state == "done" for result in ran.results)
        faults = "; ".join(f"{r.name}: {r.fault}" for r in ran.failed[:3])
        told = f"{done:,} of {len(ran.results):,} slides are done"
        self.said.emit(f"{told}. Set aside: {faults}" if faults else f"{told}.")


def _add(project: Project, places: tuple[Path, ...], *, task: Task) -> tuple[Project, list[str]]:
    found = gathered(places)
    project, notes = add_slides(project, found.slides, task)
    keep_classes(project.folder, found.classes)
    return project, [*found.notes, *notes]


def _states(project: Project, *, task: Task) -> list[SlideState]:
    found = []
    for done, state in enumerate(states(project)):
        task.step(done, len(project), "Looking at the project")
        found.append(state)
    return found


@dataclass(frozen=True)
class _Opened:
    """A slide that was opened, or why it was not: a person may trust the size of its file."""

    line: ProjectSlide
    place: str
    slide: Slide | None
    trusted: bool
    refused: SlideTooLargeError | None = None


def _open(project: Project, line: ProjectSlide, trusted: bool, *, task: Task) -> _Opened:
    place = project.place(line)
    try:
        slide = project.open(line, trust_size=trusted)
    except SlideTooLargeError as error:
        return _Opened(line, place, None, trusted, error)
    give_classes(project.folder, slide)
    return _Opened(line, place, slide, trusted)


def _summarise(project: Project, *, task: Task) -> tuple[Path, int]:
    return write_summary(project)


def _picture(
    project: Project, slide: ProjectSlide, *, task: Task
) -> tuple[Project, str, NDArray[np.uint8] | None]:
    try:
        with project.open(slide) as opened:
            return project, slide.id, thumbnail(opened, SIDE)
    except HistopromptError:
        return project, slide.id, None


def _check(project: Project, *, task: Task) -> list[Problem]:
    return check_project(filled(project, task), task)


def _run(project: Project, recipe: Recipe, where: Scheduler, *, task: Task) -> Ran:
    units = [
        Unit(s.id, project.place(s), str(project.results(s)), "", s.mpp, key=s.key)
        for s in project.slides
    ]
    out = project.folder / "run"
    if len(units) > 1:
        checked = preflight(recipe, units, out, where, task)
        checked.refuse()
        task.step(0, 0, f"{checked}")
    return run_recipe(recipe, units, out, where, task)


def _run_whole(
    project: Project, recipe: Recipe, manager: ModelManager, *, task: Task
) -> StepOutput:
    out = project.folder / recipe.steps[0].name
    return run_on_project(recipe, ProjectInput(project.folder, out, manager, task))
