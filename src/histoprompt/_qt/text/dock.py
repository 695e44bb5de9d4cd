"""The Text dock: words to heat maps, regions and counts."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from histoprompt._qt.count.dock import CountDock
from histoprompt._qt.count.layers import CELLS as COUNTED
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.docks import open_dock
from histoprompt._qt.text.calibration import CalibrationPanel
from histoprompt._qt.text.controller import TextController
from histoprompt._qt.text.options import TextOptions
from histoprompt._qt.text.region_actions_panel import RegionActionsPanel
from histoprompt._qt.text.region_cells import Wanted
from histoprompt._qt.text.region_cells_panel import RegionCellsPanel
from histoprompt._qt.text.tile_gallery import TileGallery
from histoprompt._qt.text.words import WordsPanel
from histoprompt._qt.widgets.area import AreaPanel
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.panels import ImagePanel, ModelPanel
from histoprompt._qt.widgets.report import Note, Report
from histoprompt.core.errors import RegionError
from histoprompt.pipelines.text.text_embedding import ScoreParams

DEFAULT_MODEL = "vocabulary"
HINT = "Type a word and press Enter."
_SCALE = "Probability of <b>{}</b> from 0 (clear) to 1 (yellow), against {}."


class TextDock(Dock):
    """Type words, see where they fit, mark tiles, keep regions, count cells in them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    def value(self) -> ScoreParams:
        """What the rows say."""
        params = ScoreParams(texts=self.words.texts, contrasts=self.words.contrasts)
        return self.options.applied(params)

    def set_value(self, params: ScoreParams) -> None:
        """Show these values in the rows."""
        self.words.set_value(params.texts, params.contrasts)
        self.options.set_value(params)

    def run(self) -> None:
        """Find the texts on the chosen part of the slide."""
        self._find()

    def count(self) -> None:
        """Find the texts, cut regions, count the cells in them and name these, in one go."""
        self._find(self.cells.value())

    def review(self) -> None:
        """Look at the counted cells, and correct them, in the Count dock."""
        dock = open_dock(self.viewer, "Count", CountDock)
        if dock is not None:
            self.control.cells.uncover()
            dock.show_classes()

    def _find(self, count: Wanted | None = None) -> None:
        self.words.take_line(tell=False)
        annotator = self.session.annotator
        if annotator is None or not self.words.texts:
            self._say(HINT if annotator else self._no_image())
            return
        try:
            where = self.area.box(annotator.viewer, annotator.image, annotator.slide.box)
        except RegionError as error:
            self._on_failed(str(error))
            return
        given = (self.value(), self.models.card, self.models.weights, where)
        self.control.find(*given, count=count)

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.control = TextController(self.session)
        self.images = ImagePanel(self.viewer)
        self.models, self.words = ModelPanel(self.session.jobs, "text", DEFAULT_MODEL), WordsPanel()
        self.area, self.options = AreaPanel(), TextOptions()
        self.gallery, self.calibration = TileGallery(), CalibrationPanel()
        self.cells, self.hand_on = RegionCellsPanel(), RegionActionsPanel()
        self._go = QPushButton("Find", toolTip="Look at the tiles of this part of the slide")
        self._scale = Note()
        self._results = self._make_results()
        column = QVBoxLayout(self.content)
        asked = (self.images, self.models, self.words, self.area, self.options, self._go)
        for widget in (*asked, QLabel("<b>Cells in the regions</b>"), self.cells):
            column.addWidget(widget)
        column.addWidget(self._results)
        column.addStretch(1)
        self.report = Report(HINT, "Tiles and cells that were seen so far are kept")
        self._status, self._bar = self.report.status, self.report.bar
        self._busy, self._cancel = self.report.busy, self.report.cancel
        self.foot.addWidget(self.report)

    def _make_results(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        self._heads = {name: QLabel(f"<b>{name}</b>") for name in ("Best tiles", "Regions", "Use")}
        column.addWidget(self._heads["Best tiles"])
        column.addWidget(self._scale)
        column.addWidget(self.gallery)
        column.addWidget(self._heads["Regions"])
        column.addWidget(self.calibration)
        column.addWidget(self._heads["Use"])
        column.addWidget(self.hand_on)
        return holder

    def _connect(self) -> None:
        self.images.chosen.connect(self._on_image)
        self.images.mpp_typed.connect(self._on_mpp)
        self.models.chosen.connect(self._on_model)
        self.models.refused.connect(self._say)
        self.words.changed.connect(self._on_words)
        self.words.chosen.connect(self.control.choose)
        self.words.typed.connect(self._forget_error)
        self.options.changed.connect(self._on_options)
        self.area.drawing.connect(self._on_draw)
        self._go.clicked.connect(self.run)
        self.report.cancelling.connect(self.control.batch.cancel)
        self.gallery.picked.connect(self.control.fly_to)
        self.calibration.moved.connect(self.control.set_threshold)
        self.calibration.released.connect(self._on_released)
        self.calibration.answering.connect(self.control.marking.choose)
        self.calibration.asked_next.connect(self.control.next_doubtful)
        self.calibration.asked_undo.connect(self.control.undo)
        self.hand_on.committing.connect(self.control.regions.commit)
        self.hand_on.exporting.connect(self.control.regions.export)
        self.cells.chaining.connect(self.count)
        self.cells.counting.connect(self._on_count)
        self.cells.naming.connect(self._on_name)
        self.cells.reviewing.connect(self.review)
        self._connect_control()
        self.link(self.session.annotating, self._bind)
        self.link(self.session.failed, self._say)
        self.link(self.viewer.layers.events.inserted, self._on_layers)
        self.link(self.viewer.layers.events.removed, self._on_layers)

    def _connect_control(self) -> None:
        control = self.control
        self.link(control.growing, self._on_growing)
        self.link(control.answered, self._on_answered)
        self.link(control.changed, self._on_changed)
        self.link(control.best.read, self.gallery.show_pictures)
        self.link(control.failed, self._on_failed)
        self.link(control.refused, self._on_refused)
        self.link(control.batch.status, self._say)
        self.link(control.batch.progress, self.report.show_progress)
        self.link(self.session.steps.told, self._say)
        self.link(control.cells.counted, self._on_counted)
        self.link(control.marking.toggled, self._on_active)
        self.calibration.left.connect(control.marking.stop)
        self.link(self.viewer.layers.selection.events.active, self._on_selected)

    def _start(self) -> None:
        self._wrong = ""
        self._on_layers()
        self._on_model()
        self._bind()

    # -- what the user does ------------------------------------------------------------------

    def _on_layers(self, event: object = None) -> None:
        """Offer the images there are; a lone one is taken at once."""
        images = self.images.images
        inserted = getattr(event, "type", "inserted") == "inserted"
        if getattr(getattr(event, "value", None), "name", "") == COUNTED and inserted:
            self.control.cells.outlined()
        if self.session.annotator is None and len(images) == 1 and inserted:
            self.session.annotate(images[0])
        chosen = self.session.annotator
        self.images.refill(chosen.image if chosen else None)

    def _on_image(self, image: Image | None) -> None:
        self.session.annotate(image)

    def _on_mpp(self, mpp: float) -> None:
        if self.session.annotator is not None:
            self.session.annotator.set_mpp(mpp)
            self.images.show_slide(self.session.annotator.slide)

    def _on_model(self) -> None:
        self.words.offer(self.models.card.words)

    def _on_words(self) -> None:
        """Ask at once where tiles were seen already; the first word starts the search."""
        if not self.words.texts:
            self._say(HINT)
        elif not self.control.ask(self.value(), self.models.card, self.models.weights):
            self.run()

    def _on_options(self) -> None:
        if self.words.texts:
            asked = self.control.ask(self.value(), self.models.card, self.models.weights)
            if not asked and self.control.work is not None:
                self._say("Press Find: tiles have to be looked at anew for this.")

    def _on_draw(self) -> None:
        annotator = self.session.annotator
        if annotator is not None:
            self.area.draw(annotator.viewer, annotator.image, self.session.modes)

    def _on_released(self) -> None:
        self.control.set_threshold(None)

    def _on_count(self) -> None:
        self.control.cells.count(self.cells.value().choice)

    def _on_name(self) -> None:
        self.control.cells.tell_apart(self.cells.value().words, self.value().templates)

    # -- what is shown -----------------------------------------------------------------------

    def _bind(self) -> None:
        annotator = self.session.annotator
        self.control.bind()
        self.images.refill(annotator.image if annotator else None)
        self.images.show_slide(annotator.slide if annotator else None)
        self._say(HINT if annotator else self._no_image())

    def _no_image(self) -> str:
        return self.session.reason or "Open a slide, or choose an image."

    def _on_refused(self, text: str) -> None:
        """The model cannot know a word: let it be typed otherwise."""
        self._on_failed(text)
        self.words.take_back()

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
            by_hand=work.is_typed(text),
            regions=self.control.region_count,
        )
        for panel in (self.hand_on, self.cells):
            panel.set_ready(self.control.region_count > 0)
        self._show_cuts()
        fitted = work.calibration(text)
        self.calibration.show_trust(fitted.text if fitted else "No tile is marked.")
        by_user = work.scores.facts["contrasts chosen by"] == "user"
        rivals = work.scores.facts["contrasts"] if by_user else "the other texts and usual tissues"
        self._scale.setText(_SCALE.format(text, rivals))
        self._scale.setToolTip(f"Held against: {work.scores.facts['contrasts']}")

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
        self.cells.show_counts(self.control.cells.counts)
        self._show_cuts()
        if self.control.cells.counts is not None:
            QTimer.singleShot(0, self._reveal_counts)

    def _reveal_counts(self) -> None:
        """Scroll to the table, once it is laid out."""
        self.page.ensureWidgetVisible(self.cells, 0, 0)

    def _show_cuts(self) -> None:
        work, cells = self.control.work, self.control.cells
        if work is not None:
            self.cells.show_cuts(cells.cuts, cells.outdated(work))

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
