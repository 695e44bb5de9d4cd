"""The Train dock: the network of nuclei learns from what was labelled or corrected here."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QFormLayout, QPushButton, QVBoxLayout

from histoprompt._qt.shell import messages
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.training.loss_chart import LossChart
from histoprompt._qt.training.source import SOURCES, SlideLabels, Source, labels_of
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.work_strip import NoteLabel, WorkStrip
from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.exchange.step import STORE
from histoprompt.pipelines.recipes.command import CommandPlace, arguments, option
from histoprompt.training.label_params import LabelTrainingParams
from histoprompt.training.on_labels import LabelTraining, can_resume, curve_of, train_on_labels

HINT = "Choose labels and press Train."
_WHY = (
    "The shipped network of nuclei goes on for a few steps on your labels. Every fifth tile is "
    "held out and tells whether it got better. <b>A nucleus without a label counts as "
    "background:</b> label all of them where you label any."
)
_TIME = "About {} on this computer at a second a step; one core is used. You may go on working."
_CANCELLED = "Cancelled. What was learnt is kept: press Go on to take it up again."
_TITLE = "Training"
# Milliseconds between two looks at the curve.
_LOOK_MS = 700


class TrainDock(Dock):
    """Choose what to learn from, watch the loss, see what came of it."""

    def train(self) -> None:
        """Train on the chosen labels in the background, from the beginning."""
        self._begin(resume=False)

    def go_on(self) -> None:
        """Go on with a training of this name that was broken off."""
        self._begin(resume=True)

    def value(self) -> LabelTrainingParams:
        """What the rows say.

        Raises
        ------
        HistopromptError
            If a value cannot be used.
        """
        return self._rows.value()

    def set_value(self, params: LabelTrainingParams) -> None:
        """Show these values in the rows."""
        self._rows.set_value(params)
        self._on_changed()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._work = BatchWork(self.session.jobs, _CANCELLED)
        self._source = QComboBox()
        self._source.addItems(list(SOURCES.values()))
        self._rows = ParameterForm(LabelTrainingParams())
        self._time, self._result = NoteLabel(), NoteLabel()
        self._go, self._again = QPushButton("Train on these labels"), QPushButton("Go on")
        self._again.setToolTip("Go on with the training of this name that was broken off")
        self.chart = LossChart()
        self.report = WorkStrip(HINT, "What was learnt is kept, and can go on later")
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        form = QFormLayout()
        form.addRow("Labels", self._source)
        layout = QVBoxLayout(self.content)
        layout.addWidget(NoteLabel(_WHY))
        layout.addLayout(form)
        layout.addWidget(self._rows)
        for widget in (self._time, self._go, self._again):
            layout.addWidget(widget)
        layout.addWidget(self.chart, 1)
        layout.addWidget(self._result)
        layout.addStretch(1)
        self.foot.addWidget(self.report)
        self.offer_command(self._words, self.report.say)

    def _connect(self) -> None:
        self._go.clicked.connect(self.train)
        self._again.clicked.connect(self.go_on)
        self._rows.changed.connect(self._on_changed)
        self._timer.timeout.connect(self._draw)
        self.report.cancelling.connect(self._work.cancel)
        self.link(self._work.status, self.report.say)
        self.link(self._work.progress, self.report.show_progress)
        self.link(self.session.failed, self.report.say)

    def _start(self) -> None:
        self._params = LabelTrainingParams()
        self._on_changed()

    # -- what happens ------------------------------------------------------------------------

    def _begin(self, *, resume: bool) -> None:
        try:
            params, labels = self.value(), self._labels()
        except HistopromptError as error:
            self.report.say(messages.told(error))
            return
        self._params = params
        self._result.setText("")
        self.chart.show_points((), params.steps)
        self._set_busy(True)
        run = partial(
            train_on_labels, labels.slide, labels.source, params,
            classes=labels.classes, resume=resume,
        )  # fmt: skip
        self._work.run(
            run, title=_TITLE, done=self._on_done, failed=self._on_ended, cancelled=self._on_ended
        )

    def _labels(self) -> SlideLabels:
        return labels_of(self.session, self._chosen)

    def _words(self, place: CommandPlace) -> list[str]:
        """What Train would do now."""
        if self._chosen == "count":
            raise LabelError(
                "The cells of this count are kept by the window. Commit them as objects, or write "
                "the files of the count in the Count dock: a command learns from those."
            )
        given = [*option("image", place.slide), *option("labels", STORE)]
        return ["train", *given, *arguments(self.value()), *place.options]

    @property
    def _chosen(self) -> Source:
        return list(SOURCES)[self._source.currentIndex()]

    def _on_changed(self) -> None:
        """Tell the time, and whether a training of this name can go on."""
        try:
            params = self.value()
            minutes = max(1, round(params.steps / 60))
            self._time.setText(_TIME.format(many(minutes, "minute")))
            self._again.setVisible(can_resume(params))
            if not self._work.active and not self._result.text():
                self.chart.show_points(curve_of(params), params.steps)
        except HistopromptError as error:
            self._time.setText(messages.told(error))
            self._again.setVisible(False)

    def _draw(self) -> None:
        self.chart.show_points(curve_of(self._params), self._params.steps)

    def _on_done(self, made: LabelTraining) -> None:
        verdict = "better" if made.better else "not better"
        self._result.setText(
            f"<b>{self._params.name}</b> is {verdict} than before. {made} It is among the models "
            "of the Count, Text and Models docks."
        )
        self._on_ended()
        self.chart.show_points(made.curve, self._params.steps)
        self.report.say(f"Trained {self._params.name}.")
        self.session.weights_changed.emit()
        messages.show_info(str(made))

    def _on_ended(self, *_: object) -> None:
        self._timer.stop()
        self._draw_kept()
        self._set_busy(False)
        self._on_changed()

    def _draw_kept(self) -> None:
        """The last points, where the folder of the training is still there."""
        points = curve_of(self._params)
        if points:
            self.chart.show_points(points, self._params.steps)

    def _set_busy(self, busy: bool) -> None:
        self.report.set_busy(busy)
        for button in (self._go, self._again):
            allow(button, BUSY if busy else "")
        if busy:
            self._timer.start()
