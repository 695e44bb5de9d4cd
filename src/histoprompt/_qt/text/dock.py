"""The Text dock: words to heat maps, regions and counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout

from histoprompt._qt.count.layers import CELLS as COUNTED
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.text.controller import TextController
from histoprompt._qt.text.drafting import DraftDialog
from histoprompt._qt.text.phrasing import Phrasing
from histoprompt._qt.text.region_cells import CellsRequest
from histoprompt._qt.text.region_cells_panel import RegionCellsPanel
from histoprompt._qt.text.results_panel import ResultsPanel
from histoprompt._qt.text.understanding import UnderstoodRow
from histoprompt._qt.text.words import WordsPanel
from histoprompt._qt.widgets.area import AreaPanel
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.core.errors import HistopromptError, ParameterError, RegionError
from histoprompt.models import registry
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.text.step import score_chosen
from histoprompt.pipelines.text.text_embedding import ScoreParams

DEFAULT_MODEL = registry.DEFAULT_WORDS
HINT = "Type a word and press Enter."


class TextDock(Dock):
    """Type words, see where they fit, mark tiles, keep regions, count cells in them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    def value(self) -> ScoreParams:
        """What the rows say."""
        texts, contrasts = self.words.texts, self.words.contrasts
        return replace(self.options.value(), texts=texts, contrasts=contrasts)

    def set_value(self, params: ScoreParams) -> None:
        """Show these values in the rows."""
        self.words.set_value(params.texts, params.contrasts)
        self.options.set_value(params)

    @property
    def annotator(self) -> Annotator | None:
        """What works on the slide that is searched."""
        return self.annotating.annotator

    def run(self) -> None:
        """Find the texts on the chosen part of the slide, with what is typed."""
        self.words.take_line(tell=False)
        self._find()

    def count(self) -> None:
        """Find the texts, cut regions, count the cells in them and name these, in one go."""
        self.words.take_line(tell=False)
        self._find(self.cells.value())

    def review(self) -> None:
        """Look at the counted cells, and correct them, in the Count dock."""
        if open_dock(self.viewer, "Count") is not None:
            self.control.cells.uncover()
            self.control.counting.reviewed.emit()

    def _find(self, count: CellsRequest | None = None) -> None:
        annotator = self.annotator
        if annotator is None or not self.words.texts:
            self._say(HINT if annotator else self._no_image())
            return
        try:
            where = self.area.box(annotator.viewer, annotator.image, annotator.slide.box)
        except RegionError as error:
            self._on_failed(messages.told(error))
            return
        given = (self.value(), self.models.card, self.models.weights, where)
        self.control.find(*given, count=count)

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.annotating = self.session.part(Annotating)
        self.control = TextController(self.session)
        self.images = ImagePanel(self)
        self.models, self.words = ModelPanel(self.session.jobs, "text", DEFAULT_MODEL), WordsPanel()
        self.area = AreaPanel()
        self.options = ParameterForm(ScoreParams(), skip={"texts", "contrasts"})
        self.cells, self._results = RegionCellsPanel(), ResultsPanel()
        self.gallery, self.calibration = self._results.gallery, self._results.calibration
        self.hand_on, self._scale = self._results.hand_on, self._results.scale
        self.link(self.session.weights_changed, self.cells.refill)
        self._go = QPushButton("Find", toolTip="Look at the tiles of this part of the slide")
        column = QVBoxLayout(self.content)
        self.understood = UnderstoodRow()
        self.draft = DraftDialog(self.session.jobs, self)
        self.phrasing = Phrasing(
            self.session, self.words, self.understood, lambda: self.models.card
        )
        asked = (
            self.images, self.models, self.words, self.understood, self.area, self.options,
            self._go,
        )  # fmt: skip
        for widget in (*asked, QLabel("<b>Cells in the regions</b>"), self.cells):
            column.addWidget(widget)
        column.addWidget(self._results)
        column.addStretch(1)
        self.report = WorkStrip(HINT, "Tiles and cells that were seen so far are kept")
        self._status, self._bar = self.report.status, self.report.bar
        self._busy, self._cancel = self.report.busy, self.report.cancel
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self._say)

    def _connect(self) -> None:
        self.models.chosen.connect(self._on_model)
        self.models.refused.connect(self._say)
        self.words.changed.connect(self._on_words)
        self.words.chosen.connect(self.control.choose)
        self.words.typed.connect(self._forget_error)
        self.understood.refused.connect(self.phrasing.not_meant)
        self.words.drafting.connect(self.draft.start)
        self.draft.ticked.connect(self.phrasing.add)
        self.calibration.asked_wordings.connect(self._on_wordings)
        self.options.changed.connect(self._on_options)
        self.area.drawing.connect(self._on_draw)
        self._go.clicked.connect(self.run)
        self.report.cancelling.connect(self.control.batch.cancel)
        self.gallery.picked.connect(self.control.fly_to)
        self.calibration.moved.connect(self.control.set_threshold)
        self.calibration.released.connect(self._on_released)
        self.calibration.answering.connect(self.control.marking.choose)
        self.calibration.asked_next.connect(self.control.next_doubtful)
        self.calibration.asked_undo.connect(self.session.steps.undo)
        self.hand_on.committing.connect(self.control.regions.commit)
        self.hand_on.exporting.connect(self.control.regions.export)
        self.cells.chaining.connect(self.count)
        self.cells.counting.connect(self._on_count)
        self.cells.naming.connect(self._on_name)
        self.cells.reviewing.connect(self.review)
        self._connect_control()
        self.link(self.annotating.changed, self._bind)
        self.link(self.session.failed, self._say)
        self.link(self.session.noted, self.report.warn)
        self.link(self.viewer.layers.events.inserted, self._on_inserted)

    def _connect_control(self) -> None:
        control = self.control
        self.link(control.growing, self._on_growing)
        self.link(control.answered, self._on_answered)
        self.link(control.changed, self._on_changed)
        self.link(control.best.read, self.gallery.show_pictures)
        self.link(control.failed, self._on_failed)
        self.link(control.refused, self.phrasing.refused)
        self.link(self.phrasing.changed, self._on_words)
        self.link(self.phrasing.left, self._on_left)
        self.link(self.phrasing.said, self._say)
        self.link(self.phrasing.failed, self._on_failed)
        self.link(control.batch.status, self._say)
        self.link(control.batch.progress, self.report.show_progress)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.steps.passed, self._on_passed)
        self.link(control.cells.counted, self._on_counted)
        self.link(control.marking.toggled, self._on_active)
        self.calibration.left.connect(control.marking.stop)
        self.link(self.viewer.layers.selection.events.active, self._on_selected)

    def _start(self) -> None:
        self._wrong = ""
        self._revealed: tuple[str, ...] = ()
        self._on_model()
        self.annotating.start()
        self._bind()

    def _steps(self, needs: Needs) -> list[RecipeStep]:
        """What Find would do now, with the marks and the threshold there are."""
        annotator = self.annotator
        if annotator is None or not self.words.texts:
            raise ParameterError(HINT if annotator else self._no_image())
        where = self.area.box(annotator.viewer, annotator.image, annotator.slide.box)
        model = self.models.card.id, self.models.weights
        chosen = score_chosen(
            self.value(), model, annotator.slide, where, work=self.control.work, needs=needs
        )
        return [RecipeStep("score", chosen)]

    # -- what the user does ------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        if event.value.name == COUNTED:
            self.control.cells.outlined()

    def _on_model(self) -> None:
        self.words.offer(self.models.card.words)

    def _on_words(self) -> None:
        """Ask at once where tiles were seen already; the first word starts the search."""
        if not self.words.texts:
            self._say(HINT)
        elif not self.control.ask(self.value(), self.models.card, self.models.weights):
            self._find()  # what is still being typed, or was taken back, is not asked for

    def _on_left(self) -> None:
        """Look for the texts that were typed beside one that was taken back."""
        work, texts = self.control.work, self.words.texts
        answered = () if work is None else self.words.named(work.texts)
        if texts and set(texts) != set(answered):
            self._on_words()

    def _on_options(self) -> None:
        if self.words.texts:
            asked = self.control.ask(self.value(), self.models.card, self.models.weights)
            if not asked and self.control.work is not None:
                self._say("Press Find: tiles have to be looked at anew for this.")

    def _on_draw(self) -> None:
        annotator = self.annotator
        if annotator is not None:
            self.area.draw(annotator.viewer, annotator.image, self.session.modes)

    def _on_wordings(self) -> None:
        work = self.control.shown_work
        if work is not None:
            self.phrasing.choose(work, self.control.text, self.value())

    def _on_released(self) -> None:
        self.control.set_threshold(None)

    def _on_count(self) -> None:
        self.control.cells.count(self.cells.value().choice)

    def _on_name(self) -> None:
        try:
            texts = self.cells.value().texts
        except HistopromptError as error:
            self._on_failed(messages.told(error))
            return
        self.control.cells.tell_apart(replace(texts, templates=self.value().templates))

    # -- what is shown -----------------------------------------------------------------------

    def _bind(self) -> None:
        annotator = self.annotator
        self.control.bind()
        self._say(HINT if annotator else self._no_image())

    def _no_image(self) -> str:
        return self.annotating.reason or "Open a slide, or choose an image."

    def _on_growing(self, _: object) -> None:
        self.words.select(self.control.text)

    def _on_answered(self) -> None:
        work = self.control.work
        self._results.setVisible(work is not None)
        if work is None:
            self.gallery.show_pictures([])
            return
        self.words.select(self.control.text)

    def _on_changed(self) -> None:
        work, text = self.control.work, self.control.text
        if work is None:
            return
        self._forget_error()
        self.calibration.show_threshold(
            work.scores.thresholds[text],
            work.origin(text),
            by_hand=work.is_manual(text),
            regions=self.control.region_count,
        )
        for panel in (self.hand_on, self.cells):
            panel.set_ready(self.control.region_count > 0)
        self._show_cuts()
        fitted = work.calibration(text)
        self.calibration.show_trust(fitted.text if fitted else "No tile is marked.")
        self._scale.show_facts(text, work.scores.facts)

    def _on_selected(self, _: object) -> None:
        """Another layer is active: clicks mark tiles only on that of marks."""
        self._on_active()
        # a layer that was just added is active for a moment only
        QTimer.singleShot(0, self.control.marking.resume)

    def _on_active(self, _: object = None) -> None:
        """Show whether clicks mark tiles, and what they say."""
        marking = self.control.marking
        self.calibration.show_answer(marking.yes if marking.active else None)

    def _on_counted(self) -> None:
        counts = self.control.cells.counts
        self.cells.show_counts(counts)
        self._show_cuts()
        names = () if counts is None else counts.names
        if names and names != self._revealed:
            QTimer.singleShot(0, self._reveal_counts)
        self._revealed = names

    def _reveal_counts(self) -> None:
        """Scroll to the table, once it is laid out."""
        self.page.ensureWidgetVisible(self.cells, 0, 0)

    def _show_cuts(self) -> None:
        work, cells = self.control.work, self.control.cells
        if work is not None:
            self.cells.show_cuts(cells.cuts, cells.outdated(work))

    def _on_passed(self, text: str) -> None:
        self.report.unsay(text, HINT)

    def _say(self, text: str) -> None:
        self.report.say(text)
        self.report.set_busy(self.control.batch.active)

    def _on_failed(self, text: str) -> None:
        self._say(text)
        self._wrong = text
        messages.show_error(text)

    def _forget_error(self) -> None:
        """What went wrong before is over once a person goes on."""
        wrong, self._wrong = self._wrong, ""
        if wrong and self._status.text() == wrong:
            self._say(self._going_on())

    def _going_on(self) -> str:
        """What can be done now."""
        work = self.control.work
        if work is None:
            return HINT
        return f"Shown: {self.control.text}. Type another word, mark tiles, or count cells."
