"""The Count dock: choose a region, count its cells, tell classes apart, check, write files."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Image
from qtpy.QtWidgets import QPushButton, QTabWidget, QVBoxLayout

from histoprompt._qt.count.audit_layers import AuditLayers
from histoprompt._qt.count.audit_panel import AuditPanel
from histoprompt._qt.count.cell_pointer import CANVAS, CellPointer
from histoprompt._qt.count.cells_dock import CellsDock
from histoprompt._qt.count.classes_panel import ClassesPanel
from histoprompt._qt.count.layers import CountLayers
from histoprompt._qt.count.panels import CountsTable, FilesPanel, RegionPanel
from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.camera import focus_canvas, show_scale_bar
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.shell.keys import bind_count_keys
from histoprompt._qt.widgets.base import Dock, Page, in_sight
from histoprompt._qt.widgets.panels import ImagePanel
from histoprompt._qt.widgets.report import Report
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.count.kept import lines_of

HINT = "Choose a region and press Count."
_NO_SLIDE = "Open a slide first: File > Open Sample > histoprompt has one."
_OFFER = "offer"
_CLASSES = 1  # number of their tab


class CountDock(Dock):
    """Segment, classify and count on one slide."""

    def count(self) -> None:
        """Count the chosen region in the background."""
        if self._image is None:
            self._say(_NO_SLIDE)
            return
        try:
            slide = self._slide()
            self.counting.count(slide, self.region.value(), self._box(slide))
        except HistopromptError as error:
            self._on_failed(str(error))

    def show_cells_dock(self) -> None:
        """Open the table of cells below the slide."""
        open_dock(self.viewer, "Cells", CellsDock, area="bottom")

    def show_classes(self) -> None:
        """Turn to the classes of the cells, and show the one that is offered."""
        self.tabs.setCurrentIndex(_CLASSES)
        self._on_look()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.counting = self.session.counting
        self._image: Image | None = None
        self._opened: Slide | None = None
        self._shown: CountLayers | None = None
        self._pointer: CellPointer | None = None
        self._audited: AuditLayers | None = None
        self.images, self.region = ImagePanel(self.viewer), RegionPanel()
        self.classes, self.audit = ClassesPanel(self.counting.classes), AuditPanel(self.counting)
        self.files = FilesPanel()
        self.tabs = QTabWidget()
        pages = (self.region, self.classes, self.audit, self.files)
        for title, page in zip(("Region", "Classes", "Audit", "Files"), pages, strict=True):
            self.tabs.addTab(Page(page), title)
        self.counts = CountsTable()
        self._table = QPushButton("Table and charts of the cells")
        self.report = Report(HINT, "What is counted so far is kept")
        self._status, self._bar = self.report.status, self.report.bar
        self._busy, self._cancel = self.report.busy, self.report.cancel
        layout = QVBoxLayout(self.content)
        layout.addWidget(self.images)
        layout.addWidget(self.tabs, 1)
        for widget in (self.counts, self._table):
            layout.addWidget(widget)
        self.foot.addWidget(self.report)

    def _connect(self) -> None:
        counting, classing = self.counting, self.counting.classes
        self.images.chosen.connect(self._on_image)
        self.images.mpp_typed.connect(self._on_mpp)
        self.region.area.drawing.connect(self._on_draw)
        self.region.go.connect(self.count)
        self.classes.labelling.connect(self._on_labelling)
        self.classes.answered.connect(self._on_answered)
        self.classes.look.connect(self._on_look)
        self.audit.field.connect(self._on_field)
        self.audit.saying.connect(self._on_saying)
        self.files.export.connect(self._on_export)
        self._table.clicked.connect(self.show_cells_dock)
        self.report.cancelling.connect(counting.cancel)
        self.audit.left.connect(self._on_audit_left)
        self.link(counting.counted, self._on_counted)
        self.link(counting.busy, self._on_busy)
        self.link(counting.progress, self.report.show_progress)
        self.link(counting.status, self._say)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.failed, self._say)
        self.link(counting.failed, self._on_failed)
        self.link(counting.chosen, self._on_chosen)
        self.link(counting.audited, self.audit.refresh)
        self.link(classing.classified, self._on_classified)
        self.link(classing.labelled, self._on_labelled)
        self.link(classing.suggested, self._on_suggested)
        self.link(self.session.annotating, self._on_annotating)
        self.link(self.viewer.layers.events.inserted, self._on_layers)
        self.link(self.viewer.layers.events.removed, self._on_layers)

    def _start(self) -> None:
        self._reviewing = False
        self._on_layers()
        self._on_counted()
        self._say(self.counting.summary or HINT)
        self.audit.refresh()

    # -- which slide -------------------------------------------------------------------------

    def _on_layers(self, _: object = None) -> None:
        images = self.images.images
        if self._image is not None and self._image not in images:
            self._on_image(None)
            self._say("The image was removed. The count is kept: open the slide to go on.")
        elif self._image is None and len(images) == 1:
            self._on_image(images[0])
        self.images.refill(self._image)

    def _on_annotating(self) -> None:
        annotator = self.session.annotator
        if self.counting.work is None and annotator is not None:
            self._on_image(annotator.image)

    def _on_image(self, image: Image | None) -> None:
        """Count on this image from now on; a count of another one is let go, not lost."""
        if image is self._image and image is not None:
            return
        # Removing layers comes back here: by then the image must be another one already.
        shown, self._shown = self._shown, None
        before, self._image, self._opened = self._image, image, None
        if shown is not None:
            shown.remove()
        if before is not None:
            self.counting.drop()
        self.images.refill(image)
        if image is not None:
            layers.show_alone(self.viewer, image)
        try:
            self.images.show_slide(None if image is None else self._slide())
        except HistopromptError as error:
            self._on_failed(str(error))

    def _slide(self) -> Slide:
        """The slide behind the image: the annotated one, or one of our own."""
        assert self._image is not None
        annotator = self.session.annotator
        if annotator is not None and annotator.image is self._image:
            return annotator.slide
        if self._opened is None:
            self._opened = layers.slide_of(self._image)
        return self._opened

    def _on_mpp(self, mpp: float) -> None:
        image, annotator = self._image, self.session.annotator
        if image is None:
            return
        if annotator is not None and annotator.image is image:
            annotator.set_mpp(mpp)
        else:
            self._opened = layers.type_mpp(image, self._slide(), mpp)
            show_scale_bar(self.viewer)
        self._hide()
        self.counting.drop()
        drawn = DrawnArea(self.viewer, image).layer
        if drawn is not None:
            layers.move(drawn, image)
        self.images.show_slide(self._slide())

    def _box(self, slide: Slide) -> Box | None:
        """The chosen region, None for the whole slide."""
        assert self._image is not None
        if self.region.area.part == "slide":
            return None
        return self.region.area.box(self.viewer, self._image, slide.box)

    # -- what the user does ------------------------------------------------------------------

    def _on_draw(self) -> None:
        if self._image is None:
            self._say(_NO_SLIDE)
            return
        self.region.area.draw(self.viewer, self._image, self.session.modes)
        self._say("Drag a rectangle on the slide; the last one counts.")

    def _on_labelling(self, name: str) -> None:
        """Label cells with clicks from now on, or let clicks choose cells again."""
        layer = None if self._shown is None else self._shown.cells
        if self._pointer is not None:
            self._pointer.use(name)
        if not name or layer is None:
            self.session.modes.end(self.classes)
            self.classes.stop_labelling()
            return
        self._reviewing = False
        text = f"Labelling cells as {name}: click them, or drag over them"
        self.session.modes.begin(self.classes, layer, text, self.classes.stop_labelling)

    def _on_key(self, key: str) -> None:
        """An answer by key is one to a question that is in sight."""
        if in_sight(self.classes.question, self) or self.counting.classes.suggestion is None:
            self._on_answered(key)
        else:
            self.show_classes()
            open_dock(self.viewer, "Count", CountDock)
            self._say("This is the cell that is offered. Answer it now: A, R or U.")

    def _on_answered(self, key: str) -> None:
        self._reviewing = True
        self.counting.classes.answer(key)

    def _on_look(self) -> None:
        self._reviewing = True
        self._on_suggested()
        if self._shown is not None and self._shown.cells is not None:
            self.viewer.layers.selection.active = self._shown.cells
            focus_canvas(self.viewer)

    def _on_field(self, box: Box | None) -> None:
        audit = self.counting.audit
        if self._audited is None or audit is None:
            return
        if box is None:
            self.session.modes.end(self.audit)
            self._audited.hide()
            return
        cells = self.counting.cells
        palette = cells.palette if cells is not None else ()
        self._audited.show(box, audit.marks, audit.plan.columns, palette)
        self._begin_audit()

    def _on_saying(self, name: str) -> None:
        if self._audited is not None:
            self._audited.say(name)
            if self.session.modes.owner() is self.audit:
                self._begin_audit()

    def _begin_audit(self) -> None:
        """Let clicks point at cells of the field that is framed."""
        assert self._audited is not None
        points, audited = self._audited.points, self._audited
        if points is None:
            return

        def ended() -> None:
            audited.sleep()
            self.audit.set_awake(False)

        text = f"Audit: a click in the frame says {self.audit.says_text}"
        self.session.modes.begin(self.audit, points, text, ended)
        self.audit.set_awake(True)

    def _on_audit_left(self) -> None:
        self.session.modes.end(self.audit)

    def _on_export(self, folder: Path) -> None:
        self.counting.export(folder)

    # -- what is shown -----------------------------------------------------------------------

    def _follow(self) -> None:
        """Turn to the slide that is annotated where another dock counted on it."""
        work, annotator = self.counting.work, self.session.annotator
        if work is None or annotator is None or annotator.slide.key != work.slide.key:
            return
        if self._image is not annotator.image:
            self._hide()
            self._image, self._shown = annotator.image, None
            self.images.refill(self._image)
            self.images.show_slide(annotator.slide)

    def _on_counted(self) -> None:
        self._follow()
        work, cells = self.counting.work, self.counting.cells
        self._table.setEnabled(work is not None)
        self.files.setEnabled(work is not None)
        self.classes.setEnabled(work is not None)
        self.audit.setEnabled(work is not None)
        if work is None or cells is None or self._image is None:
            self._hide()
            self.counts.show_lines([], "")
            return
        self._shown = self._shown or CountLayers(self.viewer, self._image)
        layer = self._shown.show(work, cells)
        self._audited = AuditLayers(self._shown)
        self._audited.changed.connect(self.counting.mark)
        self._audited.say(self.audit.says)
        self._pointer = CellPointer(self.counting, self._shown)
        self._pointer.attach(layer)
        bind_count_keys(layer, self._on_key, self.counting)
        self._show_counts()
        self._on_labelled()
        self._on_suggested()

    def _on_classified(self) -> None:
        cells = self.counting.cells
        if self._shown is not None and cells is not None:
            self._shown.recolour(cells)
        self._show_counts()
        self.classes.show_score()
        self.audit.refresh()

    def _on_labelled(self) -> None:
        cells = self.counting.cells
        self.classes.refresh()
        if self._shown is not None and cells is not None:
            self._shown.show_given(cells, self.counting.classes.labelling.review.labels)

    def _on_suggested(self) -> None:
        self.classes.show_suggestion()
        offered = self.counting.classes.suggestion
        if self._reviewing and offered is not None:
            self.counting.choose(offered.id, _OFFER)

    def _on_chosen(self, cell: int, source: object) -> None:
        if self._shown is not None:
            self._shown.choose(self.counting.place(cell), fly=source != CANVAS)

    def _show_counts(self) -> None:
        work, cells = self.counting.work, self.counting.cells
        if work is not None and cells is not None:
            lines = lines_of(work, cells)
            legend = self._shown.legend if self._shown is not None else {}
            self.counts.show_lines(
                lines,
                work.ground.denominator,
                partial=not work.complete,
                legend=legend,
                palette=cells.palette,
            )

    def _hide(self) -> None:
        if self._shown is not None:
            self._shown.remove()

    def _on_busy(self, busy: bool) -> None:
        self.report.set_busy(busy)
        self.region.set_busy(busy)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)

    def _say(self, text: str) -> None:
        self.report.say(text)
