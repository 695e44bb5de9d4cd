"""Relating in a viewer: a project, what came of it, and slides opened from its plots."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from histoprompt._qt.project.controller import ProjectController
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt.core.errors import HistopromptError, ParameterError
from histoprompt.core.slides.sample import COHORT, sample_folder
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.offer import Offered, offered_columns
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.plots import scatter
from histoprompt.pipelines.relate.run import Related
from histoprompt.pipelines.relate.write import REPORT, relate_into

FOLDER = "relate"


class Relating:
    """Relates one project at a time.

    Attributes
    ----------
    found : Related or None
        What came of it last.
    out : Path or None
        Where its files are.
    turned : Signal(Project)
        To another project.
    related : Signal(Related)
    said : Signal(str)
    """

    turned, related, said = Signal(object), Signal(object), Signal(str)

    def __init__(self, session: Session) -> None:
        self.work = BatchWork(session.jobs, "Cancelled. Nothing was written.")
        self.slides = ProjectController(session)
        self.found: Related | None = None
        self.out: Path | None = None
        self.slides.changed.connect(self._on_changed)
        self.slides.said.connect(self.said.emit)

    @property
    def project(self) -> Project | None:
        """The project."""
        return self.slides.project

    def open(self, folder: Path) -> None:
        """Turn to the project in a folder, or say why not."""
        self.slides.open(folder)

    def open_sample(self) -> RelateParams | None:
        """Turn to the made cohort; what to relate in it, or None where it is not installed."""
        try:
            folder = sample_folder() / COHORT
            self.open(folder)
        except HistopromptError as error:
            self.said.emit(told(error))
            return None
        return RelateParams(
            features=str(folder / "features.csv"), reports=folder / "reports.csv",
            fields=folder / "fields.toml", against=("response", "grade"),
        )  # fmt: skip

    def columns(self, *, reports: bool) -> tuple[Offered, ...]:
        """What the project's table offers."""
        return () if self.project is None else offered_columns(self.project, reports=reports)

    def relate(self, params: RelateParams, out: Path) -> None:
        """Relate in the background, and write all files.

        Raises
        ------
        ParameterError
            If no project is open, or nothing is chosen to relate to.
        """
        if self.project is None:
            raise ParameterError("Open a project first.")
        if not params.against:
            raise ParameterError("Tick at least one column to relate to.")
        self.out = out
        self.work.run(_relate, self.project, params, out, title="Relating", done=self._on_done)

    def points(self, row: int) -> dict[str, object] | None:
        """The plot of a finding; None where there is none."""
        if self.found is None or not 0 <= row < len(self.found.findings):
            return None
        tested = self.found.findings[row].tested
        column = next((c for c in self.found.columns if c.name == tested.column), None)
        if column is None or tested.feature not in self.found.study.names:
            return None
        return scatter(self.found.study, tested.feature, column, {})

    def show(self, slide: str) -> None:
        """Open a slide of the project in the viewer."""
        if self.project is None:
            return
        if not self.project.has_file(self.project.slide(slide)):
            self.said.emit(f"{slide} has no file in this project; its numbers are all there is.")
            return
        self.slides.show(slide)

    @property
    def report(self) -> Path | None:
        """The report that was written last."""
        path = None if self.out is None else self.out / REPORT
        return path if path is not None and path.is_file() else None

    def _on_changed(self) -> None:
        self.found = None
        self.turned.emit(self.project)

    def _on_done(self, made: tuple[Related, tuple[str, ...]]) -> None:
        self.found, notes = made
        self.related.emit(self.found)
        faults = [str(f) for f in self.found.faults]
        alive = len(self.found.surviving)
        said = f"{alive} of {len(self.found.findings)} tests survive. The files are in {self.out}."
        self.said.emit(" ".join([said, *faults, *notes]))


def _relate(
    project: Project, params: RelateParams, out: Path, *, task: Task
) -> tuple[Related, tuple[str, ...]]:
    return relate_into(project, params, out, task)
