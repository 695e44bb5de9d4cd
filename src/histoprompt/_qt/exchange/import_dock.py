"""The Import dock: objects of other programs, looked at before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
)

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.layers.make import make_incoming
from histoprompt._qt.layers.removing import take_away
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell.jobs import Job
from histoprompt._qt.shell.messages import told
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.buttons import browse_button
from histoprompt._qt.widgets.compact_table import ShortTable
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel
from histoprompt._qt.widgets.work_strip import NoteLabel, WorkStrip
from histoprompt.core.errors import LabelError, ParameterError
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.exchange.import_labels import ImportResult
from histoprompt.pipelines.exchange.into_count import keep_imported_count
from histoprompt.pipelines.exchange.looking import (
    ImportPreview,
    ImportRequest,
    carry_out,
    look,
)
from histoprompt.pipelines.exchange.params import ImportParams, import_words
from histoprompt.pipelines.formats.catalogue import FORMATS
from histoprompt.pipelines.prompts.segment import SegmentJob
from histoprompt.pipelines.recipes.command import CommandPlace

_READ = tuple(f for f in FORMATS if f.reads)
_BETWEEN = "; "
_SHOWN = 5
_LOOK_FIRST = "Press Look first: it shows what would change."


class ImportDock(Dock):
    """Choose files, see what they would change, and import them as one edit."""

    report: WorkStrip
    preview: ImportPreview | None
    _layer: Labels | None
    _selected: Layer | None
    _job: Job | None

    def value(self) -> ImportParams:
        """What the rows say.

        Raises
        ------
        LabelError
            If they cannot be.
        """
        at = self._format.currentIndex()
        return replace(self._rows.value(), format=None if at < 1 else _READ[at - 1].name)

    def set_value(self, params: ImportParams) -> None:
        """Show these values in the rows."""
        names = [None, *(f.name for f in _READ)]
        self._format.setCurrentIndex(names.index(params.format))
        self._rows.set_value(params)

    @property
    def files(self) -> list[Path]:
        """The files to import."""
        return [Path(name.strip()) for name in self._files.text().split(";") if name.strip()]

    def choose(self, files: Sequence[Path]) -> None:
        """Look at these files."""
        self._files.setText(_BETWEEN.join(map(str, files)))
        self.look()

    @property
    def annotator(self) -> Annotator | None:
        """What works on the slide that objects are imported onto."""
        return self.annotating.annotator

    def look(self) -> None:
        """Read the files in the background and show what they would change."""
        annotator, files = self.annotator, self.files
        if annotator is None or not files:
            self.report.say("Choose an image and a file first.")
            return
        try:
            params = self.value()
        except LabelError as error:
            self.report.say(told(error))
            return
        job = None
        if params.into == "prompts":
            session, card = self.session, self._models.card
            job = SegmentJob(session.manager, session.cache, card, self._models.weights)
        self._drop_preview()
        wish = ImportRequest(tuple(files), params, job)
        self._submit(look, (annotator.slide, annotator.store, wish), self._on_looked, "Reading")

    def run(self) -> None:
        """Import what was looked at."""
        annotator, preview = self.annotator, self.preview
        if annotator is None or preview is None:
            self.report.say("Look at the files first.")
        elif preview.counted is not None:
            measured = (annotator.slide, preview.counted)
            self._submit(keep_imported_count, measured, self._on_counted, "Measuring")
        else:
            given = (annotator.store, preview)
            self._submit(carry_out, given, self._on_imported, "Importing", edits=True)

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._job, self.preview, self._layer, self._selected = None, None, None, None
        self.annotating = self.session.part(Annotating)
        self.setAcceptDrops(True)
        layout = QVBoxLayout(self.content)
        self.images, self._models = (
            ImagePanel(self, pixel_size=False),
            ModelPanel(self.session.jobs),
        )
        self._told, self._notes = NoteLabel(), NoteLabel()
        self._table = ShortTable(("What would change", "Objects"))
        self._look, self._go = QPushButton("Look"), QPushButton("Import")
        self._look.setToolTip("Read the files and show what they would change; nothing is changed")
        self._go.setToolTip("Import what is shown, as one step that can be taken back")
        self.report = WorkStrip(tip="Nothing is changed then")
        layout.addWidget(self.images)
        layout.addLayout(self._form())
        layout.addWidget(self._models)
        layout.addWidget(row(self._look, self._go))
        for widget in (self._told, self._table, self._notes):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.foot.addWidget(self.report)
        self.offer_command(self._words, self.report.say)

    def _words(self, place: CommandPlace) -> list[str]:
        """What Import would do now."""
        if not self.files:
            raise ParameterError("Choose a file first.")
        model = self._models.card.id, self._models.weights
        return import_words(place, [f.absolute() for f in self.files], self.value(), model)

    def _form(self) -> QFormLayout:
        self._format, self._files = QComboBox(), QLineEdit()
        self._format.addItems(["told by the content", *(f.title for f in _READ)])
        self._files.setPlaceholderText("files, or drop them here")
        self._browse = browse_button("Choose files")
        self._browse.setAccessibleName("Choose files")
        self._rows = ParameterForm(ImportParams(), skip={"format"})
        form = QFormLayout()
        form.addRow("Files", row(self._files, self._browse))
        form.addRow("Format", self._format)
        form.addRow(self._rows)
        return form

    def _connect(self) -> None:
        self._look.clicked.connect(self.look)
        self._go.clicked.connect(self.run)
        self._browse.clicked.connect(self._on_browse)
        self._files.returnPressed.connect(self.look)
        self._files.textChanged.connect(self._drop_preview)
        self._format.currentIndexChanged.connect(self._drop_preview)
        self._rows.changed.connect(self._on_rows)
        self._models.chosen.connect(self._drop_preview)
        self._models.refused.connect(self.report.say)
        self.report.cancelling.connect(self._on_cancel)
        self.link(self.annotating.changed, self._on_annotating)
        self.link(self.session.failed, self.report.say)

    def _start(self) -> None:
        self.annotating.start()
        self._on_rows()
        self._on_annotating()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Take files that are dropped here."""
        if event.mimeData().hasUrls():
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Look at the files that were dropped."""
        files = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.accept()
            self.choose(files)

    # -- what happens ------------------------------------------------------------------------

    def _on_browse(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Import objects of other programs")
        if names:
            self.choose([Path(name) for name in names])

    def _on_rows(self) -> None:
        self._drop_preview()
        try:
            into = self.value().into
        except LabelError:
            return
        self._models.setVisible(into == "prompts")

    def _on_annotating(self) -> None:
        self._drop_preview()
        self._enable(True)

    def _submit(
        self,
        run: Callable[..., Any],
        about: tuple[Any, ...],
        done: Callable[..., None],
        doing: str,
        *,
        edits: bool = False,
    ) -> None:
        self._enable(False)
        self.report.set_busy(True)
        self.report.say(f"{doing} ...")
        self._job = self.session.jobs.submit(
            run,
            *about,
            lane="batch",
            key="import",
            title="The import",
            on_done=done,
            on_error=self._on_stopped,
            on_cancel=self._on_cancelled,
            on_progress=self.report.show_progress,
            edits=edits,
        )

    def _on_cancelled(self) -> None:
        self._on_stopped("Cancelled; nothing was changed.")

    def _on_looked(self, preview: ImportPreview) -> None:
        self.preview = preview
        self._told.setText(preview.told)
        self._table.setRowCount(len(preview.rows))
        for at, (name, number) in enumerate(preview.rows):
            self._table.setItem(at, 0, QTableWidgetItem(name))
            self._table.setItem(at, 1, QTableWidgetItem(f"{number:,}"))
        self._table.fit()
        more = len(preview.notes) - _SHOWN
        lines = [*preview.notes[:_SHOWN], *([f"{more} more like these"] if more > 0 else [])]
        self._notes.setText("\n".join(lines))
        image = self.session.slide.image
        if image is not None:
            self._layer = make_incoming(image, preview.frame, preview.picture)
            self._selected = self.viewer.layers.selection.active
            self.viewer.add_layer(self._layer)
        self._on_stopped("Nothing is changed yet: look at the layer, then import.")

    def _on_imported(self, done: ImportResult) -> None:
        annotator, preview = self.annotator, self.preview
        self._drop_preview()
        text = f"Imported: {done}" if done.change is not None else "Nothing changed."
        if annotator is not None:
            regions = preview is not None and preview.params.into == "regions"
            shown = annotator.regions if regions else annotator.committed
            shown.show_change(done.change, text)
        self._on_stopped(text)

    def _on_counted(self, work: KeptCount) -> None:
        self._drop_preview()
        self.session.part(Counting).show(work)
        self._on_stopped(f"{len(work.cells):,} cells are in the Count dock.")

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _on_stopped(self, text: str) -> None:
        self.report.set_busy(False)
        self._enable(True)
        self.report.say(text)

    def _enable(self, on: bool) -> None:
        ready = on and self.annotator is not None
        missing = "" if ready else BUSY if self.annotator is not None else "Choose an image first."
        allow(self._look, missing)
        allow(self._go, missing or ("" if self.preview is not None else _LOOK_FIRST))

    def _select_again(self) -> None:
        """Select the layer that was selected before the preview came, unless another one is."""
        selected, self._selected = self._selected, None
        if selected in self.viewer.layers and self.viewer.layers.selection.active is None:
            self.viewer.layers.selection.active = selected

    def _drop_preview(self, *_: object) -> None:
        """What was looked at is not what the rows say any more."""
        layer, self._layer, self.preview = self._layer, None, None
        take_away(self.viewer, [] if layer is None else [layer])
        self._select_again()
        self._told.setText("")
        self._notes.setText("")
        self._table.setRowCount(0)
        self._table.fit()
        allow(self._go, _LOOK_FIRST)
