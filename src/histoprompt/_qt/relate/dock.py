"""The Relate dock: choose features and columns, see first what the site has to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout

from histoprompt._qt.relate.columns_table import ColumnsTable
from histoprompt._qt.relate.controller import FOLDER, Relating
from histoprompt._qt.relate.findings_table import FindingsTable
from histoprompt._qt.relate.patient_scatter import PatientScatter
from histoprompt._qt.shell import messages
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.work_strip import NoteLabel, WorkStrip
from histoprompt.core.errors import HistopromptError, ParameterError
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Progress
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.command import CommandPlace
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.report import effect_told
from histoprompt.pipelines.relate.run import Related
from histoprompt.pipelines.relate.source import placed_relate

HINT = "Open a project with a table of patients, or the made study to try it on."
_OWN = ("against", "types")
_NO_PROJECT = "Open a project first, or the made study."


class RelateDock(Dock):
    """Features of slides against patient data; a click on a point opens the slide."""

    def open(self, folder: Path) -> None:
        """Turn to the project in a folder."""
        self.relating.open(folder)

    def relate(self) -> None:
        """Relate what is ticked, in the background."""
        try:
            self.relating.relate(self.value(), self.out)
        except HistopromptError as error:
            self.report.say(messages.told(error))
            return
        self._set_busy(True)

    def value(self) -> RelateParams:
        """What the rows say.

        Raises
        ------
        HistopromptError
            If a value cannot be used.
        """
        return replace(
            self.rows.value(), against=self.columns.ticked(), types=self.columns.corrected()
        )

    def set_value(self, params: RelateParams) -> None:
        """Show these values in the rows."""
        self.rows.set_value(params)
        self._show_columns()
        self.columns.tick(params.against)

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.relating = Relating(self.session)
        self.out = Path.cwd() / FOLDER
        self._open = QPushButton("Open project...")
        self._sample = QPushButton("Made study", toolTip="20 made slides with a table and reports")
        self._file = QPushButton("Features of a file...", toolTip="A CSV with a column slide")
        self._where = QPushButton("Results in...", toolTip="The folder for tables and report")
        self.title, self.guard, self.why = (
            NoteLabel("No project is open."),
            NoteLabel(),
            NoteLabel(),
        )
        self.columns, self.findings = ColumnsTable(), FindingsTable()
        self.rows = ParameterForm(RelateParams(), skip=_OWN)
        self._go = QPushButton("Relate")
        self._page = QPushButton("Open report", enabled=False)
        self.points = PatientScatter()
        self.report = WorkStrip(HINT)
        layout = QVBoxLayout(self.content)
        layout.addLayout(_side_by_side(self._open, self._sample))
        layout.addWidget(self.title)
        layout.addLayout(_side_by_side(self._file, self._where))
        layout.addWidget(self.columns)
        layout.addWidget(self.rows)
        layout.addLayout(_side_by_side(self._go, self._page))
        for widget in (self.guard, self.findings, self.why):
            layout.addWidget(widget)
        layout.addWidget(self.points, 1)
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self.report.say, self._command_place)

    def _connect(self) -> None:
        self._open.clicked.connect(self._on_open)
        self._sample.clicked.connect(self._on_sample)
        self._file.clicked.connect(self._on_file)
        self._where.clicked.connect(self._on_where)
        self._go.clicked.connect(self.relate)
        self._page.clicked.connect(self._on_page)
        self.rows.changed.connect(self._on_rows)
        self.findings.itemSelectionChanged.connect(self._on_finding)
        self.points.chosen.connect(self.relating.show)
        self.report.cancelling.connect(self.relating.work.cancel)
        self.link(self.relating.turned, self._on_project)
        self.link(self.relating.related, self._on_related)
        self.link(self.relating.said, self._say)
        self.link(self.relating.work.status, self._say)
        self.link(self.relating.work.progress, self._on_progress)

    def _start(self) -> None:
        self._had_reports = False
        self._show_results(shown=False)
        allow(self._go, _NO_PROJECT)

    def _steps(self, needs: Needs) -> Sequence[RecipeStep]:
        """What Relate would do now."""
        params = self.value()
        if not params.against:
            raise ParameterError("Tick at least one column to relate to.")
        return (RecipeStep("relate", placed_relate(params)),)

    def _command_place(self) -> CommandPlace:
        project = self.relating.project
        if project is None:
            raise ParameterError("Open a project first.")
        return CommandPlace(str(project.folder.absolute()), out=str(self.out))

    # -- what happens ------------------------------------------------------------------------

    def _on_project(self, project: Project | None) -> None:
        self._show_results(shown=False)
        allow(self._go, "" if project is not None else _NO_PROJECT)
        if project is not None:
            self.out = project.folder / FOLDER
            self.title.setText(
                f"{project.name}, {many(len(project), 'slide')}. Results in {self.out}"
            )
            self._show_columns()

    def _show_columns(self) -> None:
        self._had_reports = self.rows.value().reports is not None
        self.columns.show_columns(
            self.relating.columns(reports=self._had_reports), self.columns.ticked()
        )

    def _on_rows(self) -> None:
        """Reports that were named are something to relate to."""
        if (self.rows.value().reports is not None) != self._had_reports:
            self._show_columns()

    def _on_related(self, found: Related) -> None:
        told = [*found.guard.warnings, *(p.told for p in found.guard.probes)]
        told += [c.told for c in found.guard.confounded if c.goes_along]
        self.guard.setText("<b>First:</b> " + " ".join(told) if told else "")
        self.findings.show_findings(found.findings)
        self._show_results(shown=True)
        self._on_finding()
        self.content.adjustSize()
        self.page.ensureWidgetVisible(self.guard, 0, self.height())

    def _on_finding(self) -> None:
        found, row = self.relating.found, self.findings.chosen()
        if found is None or row < 0:
            return
        one = found.findings[row]
        verdict = "survives" if one.survives else "does not survive"
        names = f"<b>{one.tested.feature}</b> and <b>{one.tested.column}</b>"
        mixed = found.mixed_of(one)
        beside = "" if mixed is None else f" {mixed.told}"
        self.why.setText(f"{names}: {effect_told(one)}; {verdict}; {one.why}.{beside}")
        self.points.show_points(self.relating.points(row))

    def _show_results(self, *, shown: bool) -> None:
        for widget in (self.guard, self.findings, self.why, self.points):
            widget.setVisible(shown)
        report = shown and self.relating.report is not None
        allow(self._page, "" if report else "Press Relate first: it writes the report.")

    def _on_open(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Open a project"):
            self.open(Path(name))

    def _on_sample(self) -> None:
        params = self.relating.open_sample()
        if params is not None:
            self.out = Path.cwd() / FOLDER
            self.title.setText(f"The made study, 20 slides. Results in {self.out}")
            self.set_value(params)

    def _on_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Features", "", "Tables (*.csv *.tsv *.txt)")
        if name:
            self.rows.set_value(replace(self.rows.value(), features=name))

    def _on_where(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "A folder for the results"):
            self.out = Path(name)
            self.report.say(f"Results go to {self.out}.")

    def _on_page(self) -> None:
        if self.relating.report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.relating.report)))

    def _on_progress(self, progress: Progress) -> None:
        self._set_busy(True)
        self.report.show_progress(progress)

    def _say(self, text: str) -> None:
        self._set_busy(self.relating.work.active)
        self.report.say(text)

    def _set_busy(self, busy: bool) -> None:
        self.report.set_busy(busy)
        allow(self._go, BUSY if busy else "" if self.relating.project else _NO_PROJECT)


def _side_by_side(*buttons: QPushButton) -> QHBoxLayout:
    layout = QHBoxLayout()
    for button in buttons:
        layout.addWidget(button)
    return layout
