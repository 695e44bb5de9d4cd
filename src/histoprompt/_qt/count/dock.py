"""The Count dock: choose a region, count its cells, tell classes apart, check, write files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtWidgets import QPushButton, QTabWidget, QVBoxLayout

from histoprompt._qt.count.audit_layers import AuditLayers
from histoprompt._qt.count.audit_panel import AuditPanel
from histoprompt._qt.count.cell_pointer import CellPointer
from histoprompt._qt.count.cell_tools import CANVAS, SAYS, CellTools, Tool
from histoprompt._qt.count.classes_panel import ClassesPanel
from histoprompt._qt.count.controller import Counting, Regions
from histoprompt._qt.count.correct_panel import CorrectPanel
from histoprompt._qt.count.exchange import CellExchange
from histoprompt._qt.count.growing import Growing
from histoprompt._qt.count.layers import CountLayers
from histoprompt._qt.count.panels import CountsTable, FilesPanel, RegionPanel
from histoprompt._qt.layers.camera import focus_canvas
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.shell.keys import CELLS, NUMBERS
from histoprompt._qt.shell.shortcuts import bind_keys, spelled
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Dock, Page, in_sight
from histoprompt._qt.widgets.panels import ImagePanel
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import HistopromptError, ParameterError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import colours_of
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.classes.active_learning import ACCEPT, REJECT, UNSURE_KEY
from histoprompt.pipelines.count.kept import lines_of
from histoprompt.pipelines.count.listed import ListedCount
from histoprompt.pipelines.count.step import count_chosen
from histoprompt.pipelines.prompts.segment import SegmentJob
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.regions.committed import committed_regions

HINT = "Choose a region and press Count."
_NO_SLIDE = "Open a slide first: File > Open Sample > histoprompt has one."
_NO_COUNT = "Count cells first, in the page Region, or open an earlier count there."
_DRAG = "Drag a rectangle on the slide; the last one counts."
_DRAWN = "The rectangle is drawn. Press Count."
_OFFER = "offer"
_ANSWER = "This is the cell that is offered. Answer it now: {answer_yes}, {answer_no} or {unsure}."
_CLASSES = 1  # number of their tab


class CountDock(Dock):
    """Segment, classify and count on one slide."""

    def count(self) -> None:
        """Count the chosen region in the background."""
        slide = self.session.slide.slide
        if slide is None:
            self._say(_NO_SLIDE)
            return
        try:
            box, regions = self._place(slide)
            self.counting.count(slide, self.region.value(), box, regions)
        except HistopromptError as error:
            self._on_failed(messages.told(error))

    def show_cells_dock(self) -> None:
        """Open the table of cells below the slide."""
        open_dock(self.viewer, "Cells", area="bottom")

    def show_classes(self) -> None:
        """Turn to the classes of the cells, and show the one that is offered."""
        self.tabs.setCurrentIndex(_CLASSES)
        self._on_look()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.counting = self.session.part(Counting)
        self.session.part(Growing)
        self._shown: CountLayers | None = None
        self._pointer: CellPointer | None = None
        self._audited: AuditLayers | None = None
        self.images, self.region = ImagePanel(self), RegionPanel()
        self.classes, self.audit = ClassesPanel(self.counting.classes), AuditPanel(self.counting)
        self.files, self.correct = FilesPanel(), CorrectPanel(self.counting)
        self.exchange = CellExchange(self.session)
        self.tabs = QTabWidget()
        pages = (self.region, self.classes, self.correct, self.audit, self.files)
        titles = ("Region", "Classes", "Correct", "Audit", "Files")
        self._pages = tuple(map(Page, pages))
        for title, page in zip(titles, self._pages, strict=True):
            self.tabs.addTab(page, title)
        self.counts = CountsTable()
        self._table = QPushButton("Table and charts of the cells")
        self.report = WorkStrip(HINT, "What is counted so far is kept")
        self._status, self._bar = self.report.status, self.report.bar
        self._busy, self._cancel = self.report.busy, self.report.cancel
        layout = QVBoxLayout(self.content)
        layout.addWidget(self.images)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.counts)
        layout.addWidget(self._table)
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self._say)

    def _connect(self) -> None:
        counting, classing = self.counting, self.counting.classes
        self.region.area.drawing.connect(self._on_draw)
        self.region.area.choosing.connect(self._on_layers)
        self.region.area.ended.connect(self._on_drawn)
        self.region.go.connect(self.count)
        self.region.kept.opened.connect(self._on_kept)
        self.link(counting.listed, self.region.kept.show_counts)
        self.classes.labelling.connect(self._on_labelling)
        self.classes.answered.connect(self._on_answered)
        self.classes.look.connect(self._on_look)
        self.audit.field.connect(self._on_field)
        self.audit.saying.connect(self._on_saying)
        self.files.export.connect(counting.export)
        self.correct.tool.connect(self._on_tool)
        self.correct.send.connect(self.exchange.send)
        self.correct.take.connect(self.exchange.take)
        self.link(counting.corrected, self._on_corrected)
        self.link(self.exchange.status, self._say)
        self.link(self.session.weights_changed, self.region.refill)
        self.link(self.session.weights_changed, self.classes.refill)
        self._table.clicked.connect(self.show_cells_dock)
        self.report.cancelling.connect(counting.cancel)
        self.audit.left.connect(self._on_audit_left)
        self.audit.entered.connect(self._on_audit_entered)
        self.link(counting.counted, self._on_counted)
        self.link(counting.busy, self._on_busy)
        self.link(counting.progress, self.report.show_progress)
        self.link(counting.status, self._say)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.steps.passed, self._on_passed)
        self.link(self.session.failed, self._say)
        self.link(self.session.noted, self.report.warn)
        self.link(counting.failed, self._on_failed)
        self.link(counting.chosen, self._on_chosen)
        self.link(counting.audited, self.audit.refresh)
        self.link(classing.taught, self.classes.show_taught)
        self.link(classing.classified, self._on_classified)
        self.link(classing.labelled, self._on_labelled)
        self.link(classing.suggested, self._on_suggested)
        self.link(counting.reviewed, self.show_classes)
        self.link(self.session.slide.changed, self._on_slide)
        for event in ("inserted", "removed", "changed"):
            self.link(getattr(self.viewer.layers.events, event), self._on_layers)

    def _start(self) -> None:
        self._reviewing = False
        self.session.slide.take_lone()
        self._on_layers()
        self._on_counted()
        self._say(self._rest())
        self.counting.look()
        self.audit.refresh()

    def _steps(self, needs: Needs) -> list[RecipeStep]:
        """What Count would do now."""
        slide = self.session.slide.slide
        if slide is None:
            raise ParameterError(_NO_SLIDE)
        box, regions = self._place(slide)
        found = regions() if callable(regions) else regions
        chosen = count_chosen(self.region.value(), slide, box, found, needs)
        return [RecipeStep("count", chosen)]

    # -- which slide -------------------------------------------------------------------------

    def _on_slide(self) -> None:
        """Count on another image from now on; the count went, what is shown of it goes too."""
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.remove()
        self.counting.look()
        slide = self.session.slide
        self._say(HINT if slide.image is not None else slide.reason or _NO_SLIDE)

    def _place(self, slide: Slide) -> tuple[Box | None, Regions]:
        """The chosen box, None for the whole slide; or regions."""
        image, area = self.session.slide.image, self.region.area
        if image is None or area.part == "slide":
            return None, ()
        if area.part == "shapes":
            return None, area.regions(image)
        store = self._labels
        if area.part == "regions" and store is not None:
            return None, partial(committed_regions, store, area.class_name)
        return area.box(self.viewer, image, slide.box), ()

    @property
    def _labels(self) -> LabelStore | None:
        """The committed objects and regions of the slide, where a dock keeps them."""
        keeper = self.session.labels
        return None if keeper is None else keeper.store

    def _on_layers(self, _: object = None) -> None:
        self.region.area.offer(self.viewer, self._labels)

    # -- what the user does ------------------------------------------------------------------

    def _on_kept(self, count: ListedCount) -> None:
        slide = self.session.slide.slide
        if slide is not None:
            self.counting.open(slide, count.stored)

    def _on_draw(self) -> None:
        image = self.session.slide.image
        if image is None:
            self._say(_NO_SLIDE)
            return
        self.region.area.draw(self.viewer, image, self.session.modes)
        self._say(_DRAG)

    def _on_drawn(self) -> None:
        """A rectangle is drawn, or given up."""
        self.report.unsay(_DRAG, _DRAWN if self.region.area.is_drawn else self._rest())

    def _rest(self) -> str:
        """What there is to say where nothing goes on."""
        return self.counting.summary or HINT

    def _on_passed(self, text: str) -> None:
        self.report.unsay(text, self._rest())

    def _on_labelling(self, name: str) -> None:
        """Label cells with clicks from now on, or let clicks choose cells again."""
        layer = None if self._shown is None else self._shown.cells
        if self._pointer is not None and (name or self._pointer.label_as):
            self._pointer.use(name)  # a tool that corrects stays in hand where nobody labelled
        if not name or layer is None:
            self.session.modes.end(self.classes)
            self.classes.stop_labelling()
            return
        self._reviewing = False
        self.correct.stop()
        text = f"Labelling cells as {name}: click them, or drag over them"
        self.session.modes.begin(self.classes, layer, text, self.classes.stop_labelling)

    def _on_tool(self, name: Tool) -> None:
        """Correct cells with clicks from now on, or let clicks choose cells again."""
        layer = None if self._shown is None else self._shown.cells
        if self._pointer is None or layer is None or not name:
            if self._pointer is not None and not self._pointer.label_as:
                self._pointer.use("")
            self.session.modes.end(self.correct)
            self.correct.stop()
            return
        self._pointer.correct(name)
        self.session.modes.begin(self.correct, layer, SAYS[name], self.correct.stop)

    def _outliner(self) -> SegmentJob:
        """The model that outlines an added cell, with the weights that the Prompt dock gives it."""
        card = self.correct.card
        return SegmentJob(
            self.session.manager, self.session.cache, card, self.exchange.weights_of(card)
        )

    def _on_number(self, number: int) -> None:
        """A class by its number in the list, for the cell that was clicked or is offered."""
        classing = self.counting.classes
        names, offered = classing.labelling.classes, classing.suggestion
        cell = self.counting.cell or (0 if offered is None else offered.id)
        if number > len(names):
            self._say(f"There are {len(names)} classes: make another one in the page Classes.")
        elif not cell:
            self._say("Click a cell first, or look at the one that is offered.")
        else:
            self._reviewing = self._reviewing or (offered is not None and offered.id == cell)
            classing.label([cell], names[number - 1])
            self._say(f"Cell {cell} is {names[number - 1]}.")

    def _key_acts(self) -> dict[str, Callable[[], object]]:
        steps = self.session.steps
        answers = {
            act: partial(self._on_key, key)
            for act, key in (("answer yes", ACCEPT), ("answer no", REJECT), ("unsure", UNSURE_KEY))
        }
        numbers = {f"class {n}": partial(self._on_number, n) for n in NUMBERS}
        return {**answers, **numbers, "undo": steps.undo, "redo": steps.redo}

    def _on_key(self, key: str) -> None:
        """An answer by key is one to a question that is in sight."""
        if in_sight(self.classes.question, self) or self.counting.classes.suggestion is None:
            self._on_answered(key)
        else:
            self.show_classes()
            open_dock(self.viewer, "Count")
            self._say(spelled(_ANSWER))

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
        self._audited.show(box, audit.marks, audit.plan.columns, cells)
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
        if self._audited is not None:
            self._audited.bring(False)

    def _on_audit_entered(self) -> None:
        if self._audited is not None:
            self._audited.bring(True)

    # -- what is shown -----------------------------------------------------------------------

    def _on_counted(self) -> None:
        work, cells = self.counting.work, self.counting.cells
        image = self.session.slide.image
        missing = _NO_COUNT if work is None else ""
        allow(self._table, missing)
        for page in self._pages[1:]:
            page.allow(missing)
        if work is None or cells is None or image is None:
            self._hide()
            self.counts.show_lines([], "")
            self.correct.refresh()
            return
        self._shown = self._shown or CountLayers(self.viewer, image)
        layer = self._shown.show(work, cells)
        self._audited = AuditLayers(self._shown)
        self._audited.changed.connect(self.counting.mark)
        self._audited.say(self.audit.says)
        tools = CellTools(self.counting, self._shown, self._outliner)
        self._pointer = CellPointer(self.counting, self._shown, tools)
        self._pointer.attach(layer)
        bind_keys(layer, CELLS, self._key_acts().__getitem__)
        self._show_counts()
        self.correct.refresh()
        self._on_labelled()
        self._on_suggested()

    def _on_corrected(self) -> None:
        """The same count has other cells."""
        work, cells = self.counting.work, self.counting.cells
        if self._shown is not None and work is not None and cells is not None:
            self._shown.recount(work, cells)
            self._shown.show_given(cells, self.counting.classes.labelling.review.labels)
        self._show_counts()
        self.correct.refresh()

    def _on_classified(self) -> None:
        cells = self.counting.cells
        if self._shown is not None and cells is not None:
            self._shown.recolour(cells)
        self._show_counts()
        self.classes.show_score()
        self.audit.refresh()
        self.correct.refresh()

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
                colours=colours_of(cells),
                by_hand=str(work.by_hand),
            )

    def _hide(self) -> None:
        if self._shown is not None:
            self._shown.remove()

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self.counting.look()
        self.report.set_busy(busy)
        self.region.set_busy(busy)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)

    def _say(self, text: str) -> None:
        self.report.say(text)
