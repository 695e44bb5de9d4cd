"""The Export dock: committed objects as training data."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.jobs import Job
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.buttons import browse_button
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.overwriting import may_set_aside, may_write
from histoprompt._qt.widgets.panels import ImagePanel
from histoprompt._qt.widgets.work_strip import NoteLabel, WorkStrip
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import ExportError, InTheWayError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.export import FORMATS, ExportParams, ExportReport
from histoprompt.pipelines.exchange.own_files import is_export
from histoprompt.pipelines.exchange.step import export_kept, store_export
from histoprompt.pipelines.formats.catalogue import file_format
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import RecipeStep

# Which rows concern which formats; the others concern all of them.
_TILED = {"tile_size", "mpp", "val_share", "test_share", "split_by", "block_tiles", "empty_share"}
_TILED |= {"patient", "regions", "only_annotated", "licence"}
_OUTLINED = {"simplify"}


class ExportDock(Dock):
    """Choose a format and a folder, and write what was committed."""

    report: WorkStrip
    _go: QPushButton
    _job: Job | None

    def value(self) -> ExportParams:
        """What the rows say.

        Raises
        ------
        ExportError
            If the shares add up to more than 1.
        """
        return replace(self._rows.value(), format=FORMATS[self._format.currentIndex()])

    def set_value(self, params: ExportParams) -> None:
        """Show these values in the rows."""
        self._format.setCurrentIndex(FORMATS.index(params.format))
        self._rows.set_value(params)

    @property
    def annotator(self) -> Annotator | None:
        """What works on the slide whose objects are exported."""
        return self.annotating.annotator

    def run(self) -> None:
        """Export in the background."""
        annotator, folder = self.annotator, self._folder.text().strip()
        if annotator is None or not folder:
            self._say("Choose an image and a folder first.")
            return
        try:
            params = self.value()
        except ExportError as error:
            self._say(messages.told(error))
            return
        if is_export(Path(folder)) and not may_write(self, Path(folder), whole=True):
            self._say("Nothing was written.")
            return
        self._export(Path(folder), params)

    def _export(self, folder: Path, params: ExportParams, *, aside: bool = False) -> None:
        """Export into a folder; with `aside` what lies there gets another name first."""
        annotator = self.annotator
        if annotator is None:
            return
        self._asked = folder, params
        allow(self._go, BUSY)
        self.report.set_busy(True)
        self._say("Exporting ...")
        self._job = self.session.jobs.submit(
            partial(_or_in_the_way, aside=aside),
            annotator.slide,
            annotator.store,
            folder,
            params,
            lane="batch",
            key="export",
            title="The export",
            on_done=self._on_answer,
            on_error=self._on_stopped,
            on_cancel=self._on_cancelled,
            on_progress=self.report.show_progress,
        )

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._job = None
        self._asked = Path(), ExportParams()
        self.annotating = self.session.part(Annotating)
        layout = QVBoxLayout(self.content)
        self.images, self._source = ImagePanel(self, pixel_size=False), NoteLabel()
        self.report = WorkStrip(tip="Nothing is written then")
        self._status, self._busy, self._cancel = (
            self.report.status,
            self.report.busy,
            self.report.cancel,
        )
        self._go = QPushButton("Export")
        layout.addWidget(self.images)
        layout.addWidget(self._source)
        layout.addLayout(self._form())
        layout.addWidget(self._go)
        layout.addStretch(1)
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self._say)

    def _steps(self, needs: Needs) -> list[RecipeStep]:
        """What Export would do now."""
        return [RecipeStep("export", store_export(self.value()))]

    def _connect(self) -> None:
        self._go.clicked.connect(self.run)
        self.report.cancelling.connect(self._on_cancel)
        self._browse.clicked.connect(self._on_browse)
        self._format.currentIndexChanged.connect(self._on_format)
        self.link(self.annotating.changed, self._on_annotating)
        self.link(self.session.failed, self._say)

    def _start(self) -> None:
        self.set_value(ExportParams())
        self.annotating.start()
        self._on_annotating()
        self._on_format()

    def _form(self) -> QFormLayout:
        self._format, self._folder = QComboBox(), QLineEdit()
        self._format.addItems([file_format(name).title for name in FORMATS])
        self._folder.setPlaceholderText("a new folder")
        self._browse = browse_button("Choose a folder")
        self._browse.setAccessibleName("Choose a folder")
        self._rows = ParameterForm(ExportParams(), skip={"format"})
        form = QFormLayout()
        form.addRow("Format", self._format)
        form.addRow("Folder", row(self._folder, self._browse))
        form.addRow(self._rows)
        return form

    # -- what happens ------------------------------------------------------------------------

    def _on_browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Export into")
        if name:
            self._folder.setText(name)

    def _on_format(self) -> None:
        chosen = file_format(FORMATS[self._format.currentIndex()])
        fits = {"default_class"}
        if chosen.tiled:
            fits |= _TILED
        if "outlines" in chosen.holds or chosen.name == "coco":
            fits |= _OUTLINED
        if chosen.name == "geojson":
            fits |= {"object_type"}
        self._rows.enable(fits, f"{chosen.title} has none of this.")

    def _on_annotating(self) -> None:
        annotator = self.annotator
        text = "No image is chosen: choose one above."
        if annotator is not None:
            text = f"Exports the committed objects of <b>{annotator.slide.name}</b>."
        self._source.setText(text)
        allow(self._go, "" if annotator is not None else "Choose an image first.")

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _on_answer(self, found: ExportReport | InTheWayError) -> None:
        """It is written, or other files are in the way: a person may have these set aside."""
        folder, params = self._asked
        if not isinstance(found, InTheWayError):
            self._on_done(found)
        elif may_set_aside(self, folder, found.fact):
            self._export(folder, params, aside=True)
        else:
            self._on_stopped(f"Nothing was written. {messages.told(found)}")

    def _on_done(self, report: ExportReport) -> None:
        self._on_stopped(str(report))
        messages.show_info(str(report))

    def _on_cancelled(self) -> None:
        self._on_stopped("Cancelled; nothing was written.")

    def _on_stopped(self, text: str) -> None:
        self.report.set_busy(False)
        allow(self._go, "" if self.annotator is not None else "Choose an image first.")
        self._say(text)

    def _say(self, text: str) -> None:
        self.report.say(text)


def _or_in_the_way(
    slide: Slide, store: LabelStore, out: Path, params: ExportParams, *, aside: bool, task: Task
) -> ExportReport | InTheWayError:
    """What was exported, or why nothing is: the dock asks what shall become of the folder."""
    try:
        return export_kept(slide, store, out, params, aside=aside, task=task)
    except InTheWayError as error:
        return error
