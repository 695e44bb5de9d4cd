"""The Classes page of the Count dock: make classes, label cells, answer what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.count.classes import Classing
from histoprompt._qt.shell.keys import NUMBERS
from histoprompt._qt.shell.messages import told
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.buttons import button_of, grid_of, name_of
from histoprompt._qt.widgets.charts import LearningCurveChart
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import narrow_combo
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.errors import HistopromptError
from histoprompt.core.labels.classes import cell_colours
from histoprompt.core.stain.ihc import DabThresholds
from histoprompt.models import registry
from histoprompt.models.weights.find import locate
from histoprompt.pipelines.classes.active_learning import ACCEPT, REJECT, UNSURE_KEY
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.listed import ListedCount

_ANSWERS = {
    ACCEPT: "Yes ({answer_yes})",
    REJECT: "No ({answer_no})",
    UNSURE_KEY: "Unsure ({unsure})",
}
_NO_OFFER = "No cell is offered yet."


class ClassesPanel(Panel):
    """Classes from labels, from DAB, or from a file.

    Attributes
    ----------
    labelling : Signal(str)
        Cells that are touched from now on get this class; empty to stop.
    answered : Signal(str)
        The offered cell was answered, by a button or a key: a, r or u.
    look : Signal
        The offered cell shall be shown.
    question : NoteLabel
        Which cell is offered, and as what.
    """

    labelling = Signal(str)
    answered = Signal(str)
    look = Signal()

    def __init__(self, classing: Classing) -> None:
        super().__init__()
        self._classing = classing
        self._ways, self._pages = QComboBox(), QStackedWidget()
        self._ways.addItems(
            ["cells I label", "DAB, without labels", "a classifier file", "an earlier count"]
        )
        for page in (self._of_labels(), self._of_dab(), self._of_file(), self._of_taught()):
            self._pages.addWidget(page)
        form = QFormLayout()
        form.addRow("Classes from", self._ways)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._pages, 1)
        self._connect()

    @property
    def current(self) -> str:
        """The class that is picked out, empty if none."""
        item = self._list.currentItem()
        return str(item.data(_NAME)) if item is not None else ""

    def refill(self) -> None:
        """Offer the encoders there are now."""
        self.seen_by.clear()
        self.seen_by.addItem("nothing more", "")
        for card in registry.all_cards():
            if card.role in ("encoder", "text") and not card.missing and locate(card).present:
                self.seen_by.addItem(card.short_title, card.id)
        self._show_seen_by()

    def _show_seen_by(self) -> None:
        self.seen_by.setCurrentIndex(max(0, self.seen_by.findData(self._classing.looking.encoder)))

    def refresh(self) -> None:
        """Show classes, labels and advice as they are."""
        self._show_seen_by()
        labelling, kept = self._classing.labelling, self.current
        cells = self._classing.cells
        given = {} if cells is None else cells.colours
        colours = cell_colours(labelling.classes, labelling.palette, colours=given)
        counts = labelling.counts()
        with signals_blocked(self._list):
            self._list.clear()
            for number, name in enumerate(labelling.classes, start=1):
                key = f"{number}  " if number in NUMBERS else ""
                text = f"{key}{name}: {counts[name]}"
                item = QListWidgetItem(_swatch(QColor(*colours[name])), text)
                item.setData(_NAME, name)
                self._list.addItem(item)
            names = list(labelling.classes)
            self._list.setCurrentRow(names.index(kept) if kept in names else len(names) - 1)
        allow(self._label, "" if labelling.classes else "Make a class first: type its name above.")
        allow(self._undo_row, "" if cells is not None else "Count cells first.")
        points = [(p.labels, p.accuracy, p.changed) for p in labelling.review.curve]
        self.curve.show_points(np.array(points, float).reshape(-1, 3))
        self._advice.setText(self._classing.advice)
        self._on_labelling()

    def show_suggestion(self) -> None:
        """Show the offered cell in words."""
        offered = self._classing.suggestion
        for button in (*self._answers.values(), self._look):
            allow(button, "" if offered is not None else _NO_OFFER)
        if offered is None:
            self.question.setText(_NO_OFFER)
            return
        self.question.setText(
            f"Is cell {offered.id} <b>{offered.proposed}</b>? "
            f"({offered.probability:.0%}; {offered.why})"
        )

    def show_score(self) -> None:
        """Show the score of an immunostain."""
        score = self._classing.ihc
        if score is None:
            self._score.setText("")
            return
        self._score.setText(
            f"<b>{score.positive_fraction:.1%}</b> of {score.cells:,} cells positive, "
            f"<b>H-score {score.h_score:.0f}</b><br>negative, 1+, 2+, 3+: "
            + ", ".join(f"{n:,}" for n in score.grades)
        )

    # -- building ----------------------------------------------------------------------------

    def _of_labels(self) -> QWidget:
        page = QWidget()
        self._list, self._name = QListWidget(), QLineEdit(placeholderText="a new class")
        self._list.setMinimumHeight(64)
        self._list.setMinimumWidth(80)
        self._list.setMaximumHeight(110)
        self._add = QPushButton("Add", toolTip="Make this class")
        self._remove = QPushButton("Remove", toolTip="Remove the class and its labels")
        self._label = QPushButton("Label cells", checkable=True)
        self._label.setToolTip("Click cells, or drag over them: they get the class picked above")
        self._undo, self._redo = QPushButton("Undo"), QPushButton("Redo")
        self._undo_row = row(self._label, self._undo, self._redo)
        self.learning = ParameterForm(TrainParams())
        self.seen_by = narrow_combo()
        self.seen_by.setToolTip(
            "What looks at each cell and 32 µm around it, to learn from that too"
        )
        self.refill()
        self.question = NoteLabel()
        self._answers = {key: button_of(text) for key, text in _ANSWERS.items()}
        self._look = QPushButton("Show it", toolTip="Fly to the cell that is offered")
        self.alike = QPushButton("Ask about look-alikes", checkable=True)
        self.alike.setToolTip("Offer cells most like the class picked above: is it one?")
        self.compare = QPushButton("Compare features")
        self.compare.setToolTip("How well each set of features tells cells that were left out")
        self._advice, self.curve = NoteLabel(), LearningCurveChart()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self._name, self._add, self._remove))
        layout.addWidget(self._list)
        layout.addWidget(self._undo_row)
        layout.addWidget(self.learning)
        also = QFormLayout()
        also.addRow("Also seen by", self.seen_by)
        layout.addLayout(also)
        layout.addWidget(QLabel("<b>The most useful cell to label next</b>"))
        layout.addWidget(self.question)
        layout.addLayout(grid_of((*self._answers.values(), self._look)))
        layout.addWidget(row(self.alike, self.compare))
        layout.addWidget(self.curve, 1)
        layout.addWidget(self._advice)
        return page

    def _of_dab(self) -> QWidget:
        page = QWidget()
        self.limits = ParameterForm(DabThresholds())
        self._grade = QPushButton("Classify by DAB")
        self._score, self._wrong = NoteLabel(), NoteLabel()
        form = QFormLayout(page)
        for widget in (self.limits, self._grade, self._score, self._wrong):
            form.addRow(widget)
        return page

    def _of_file(self) -> QWidget:
        page = QWidget()
        self._load, self._save = QPushButton("Load ..."), QPushButton("Save ...")
        layout = QFormLayout(page)
        layout.addRow("Use a classifier", self._load)
        layout.addRow("Keep the one in use", self._save)
        text = "Files that the command line writes and reads too."
        layout.addRow(NoteLabel(text))
        return page

    def _of_taught(self) -> QWidget:
        page = QWidget()
        self._taught: list[ListedCount] = []
        self.taught, self._take = narrow_combo(), QPushButton("Use these classes")
        self._no_taught = NoteLabel(
            "Classes that you label on one region or slide are offered here."
        )
        layout = QFormLayout(page)
        layout.addRow("Taught on", self.taught)
        layout.addRow(self._take)
        layout.addRow(self._no_taught)
        return page

    def show_taught(self, counts: Sequence[ListedCount]) -> None:
        """Offer the classes that were taught on other counts."""
        self._taught = list(counts)
        self.taught.clear()
        for one in counts:
            made = f"{datetime.fromtimestamp(one.stored.made):%Y-%m-%d %H:%M}"
            self.taught.addItem(f"{', '.join(one.classes)} ({one.where}, {made})")
        allow(self._take, "" if counts else "No class was taught on another count of this slide.")

    def _on_take(self) -> None:
        if 0 <= self.taught.currentIndex() < len(self._taught):
            self._classing.take_over(self._taught[self.taught.currentIndex()])

    def _connect(self) -> None:
        self._take.clicked.connect(self._on_take)
        self._ways.currentIndexChanged.connect(self._on_way)
        self.left.connect(self.stop_labelling)
        self._add.clicked.connect(self._on_add)
        self._name.returnPressed.connect(self._on_add)
        self._remove.clicked.connect(self._on_remove)
        self._label.toggled.connect(self._on_labelling)
        self._list.currentRowChanged.connect(self._on_labelling)
        self._undo.clicked.connect(self._on_undo)
        self._redo.clicked.connect(self._on_redo)
        self.learning.changed.connect(self._on_params)
        self.seen_by.activated.connect(self._on_seen_by)
        for button in self._answers.values():
            button.clicked.connect(self._on_answer)
        self._look.clicked.connect(self.look)
        self.alike.toggled.connect(self._on_alike)
        self.compare.clicked.connect(self._classing.compare_features)
        self._list.currentRowChanged.connect(self._on_alike)
        self._grade.clicked.connect(self._on_grade)
        self.limits.changed.connect(self._on_regrade)
        self._load.clicked.connect(self._on_load)
        self._save.clicked.connect(self._on_save)

    # -- what the user does ------------------------------------------------------------------

    def stop_labelling(self) -> None:
        """Let clicks choose cells again."""
        self._label.setChecked(False)

    def _on_way(self, index: int) -> None:
        self.stop_labelling()
        self._classing.look_for_taught()
        self._pages.setCurrentIndex(index)

    def _on_add(self) -> None:
        name = self._name.text().strip()
        before = self._classing.labelling.classes
        self._classing.add_class(name)
        if self._classing.labelling.classes != before:
            self._name.clear()
            self._list.setCurrentRow(self._list.count() - 1)

    def _on_remove(self) -> None:
        if self.current:
            self._classing.remove_class(self.current)

    def _on_labelling(self) -> None:
        self.labelling.emit(self.current if self._label.isChecked() else "")

    def _on_alike(self) -> None:
        self._classing.ask_alike(self.current if self.alike.isChecked() else "")

    def _on_undo(self) -> None:
        self._classing.undo()

    def _on_redo(self) -> None:
        self._classing.redo()

    def _on_seen_by(self) -> None:
        self._classing.look_with(str(self.seen_by.currentData()))

    def _on_params(self) -> None:
        self._classing.learn_by(self.learning.value())

    def _on_answer(self) -> None:
        self.answered.emit(name_of(self.sender(), self._answers))

    def _on_grade(self) -> None:
        try:
            self._classing.grade(self.limits.value())
        except HistopromptError as error:
            self._wrong.setText(told(error))
            return
        self._wrong.setText("")

    def _on_regrade(self) -> None:
        if self._classing.thresholds is not None:
            self._on_grade()

    def _on_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Use a classifier", "", _FILTER)
        if name:
            self._classing.load(Path(name))

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Keep the classifier", "cells.safetensors", _FILTER
        )
        if name:
            self._classing.save(Path(name))


_NAME = 0x0100  # Qt.ItemDataRole.UserRole
_FILTER = "Classifiers (*.safetensors)"


def _swatch(colour: QColor) -> QIcon:
    picture = QPixmap(14, 14)
    picture.fill(colour)
    return QIcon(picture)
