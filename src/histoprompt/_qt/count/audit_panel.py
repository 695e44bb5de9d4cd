"""The Audit page of the Count dock: look at random fields, point at what is wrong, or type."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.number_box import WholeBox
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.core.cell_table import UNSURE
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.audit.marks import NOT_A_CELL
from histoprompt.pipelines.count.audit import Audit

_WHY = (
    "Look at a few fields that chance picks: the count is corrected by what you see, and gets an "
    "interval. Draw the fields once: drawing again until the result pleases voids it."
)
_MORE = "Go on with more fields of the same draw; what was entered stays."
_HOW = (
    "Every cell that was found counts as it is until you say otherwise. Click each cell that was "
    "missed, and found ones that are something else; or type how many there are. Cells with their "
    "centre in the frame count."
)
_GREY = (
    " Grey cells are unsure: they are cells, and in no class. Click one to say its class, or that "
    "it is no cell."
)
_SAYS = {"": "a cell", UNSURE: "a cell, class unsure"}
_OUTDATED = (
    "<b>Cells or their classes have changed since the fields were drawn:</b> what was entered does "
    "not hold for them. Draw fields anew, or take the change back."
)
_NONE_LEFT = "Every field of this size is drawn."
_NOT_DRAWN = "Draw fields first."
_ENTERED = "Every drawn field is entered."
_FIRST = "No field is entered yet."
_PARTIAL = "Finish the count first: what is not counted yet cannot be audited."
_AGAIN = "{} fields are entered. Draw others and forget what was entered?"


class AuditPanel(Panel):
    """Fields one after another, and the corrected counts.

    Attributes
    ----------
    field : Signal(object)
        The box to look at, or None.
    saying : Signal(str)
        What a click in the field says from now on.
    """

    field = Signal(object)
    saying = Signal(str)

    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self._counting = counting
        self._drawing = False
        self._why = NoteLabel(_WHY)
        self._fields = WholeBox(minimum=1, maximum=200, value=10)
        self._draw = QPushButton("Draw fields", toolTip=_WHY)
        self._more = QPushButton("Add fields", toolTip=_MORE)
        self._where = NoteLabel()
        self._says = QComboBox()
        self._says_row = row(self._says, QLabel("is what a click says"))
        self._asleep = NoteLabel("<b>Clicks do nothing now:</b> press <i>Show field</i> to go on.")
        self._asleep.setVisible(False)
        self._entries: list[WholeBox] = []
        self._grid_holder = QWidget()
        self._grid = QGridLayout(self._grid_holder)
        self._next, self._back = QPushButton("Enter, next field"), QPushButton("Back")
        self._show = QPushButton("Show field")
        self._buttons = row(self._next, self._back, self._show)
        self._show.setToolTip("Look at the field and take clicks in it again")
        self._result = NoteLabel()
        self._result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form = QFormLayout()
        form.addRow("Fields of 100 µm", self._fields)
        form.addRow(row(self._draw, self._more))
        layout = QVBoxLayout(self)
        layout.addWidget(self._why)
        layout.addLayout(form)
        # the buttons come first: on a low screen what is below is scrolled
        rows = (self._buttons, self._where, self._asleep, self._says_row, self._grid_holder)
        for widget in (*rows, self._result):
            layout.addWidget(widget)
        layout.addStretch(1)
        self._draw.clicked.connect(self._on_draw)
        self._more.clicked.connect(self._on_more)
        self._next.clicked.connect(self._on_next)
        self._back.clicked.connect(self._on_back)
        self._show.clicked.connect(self._on_show)
        self._says.currentIndexChanged.connect(self._on_says)

    @property
    def says(self) -> str:
        """What a click in the field says: a class, or that there is no cell."""
        return str(self._says.currentData() or "")

    @property
    def says_text(self) -> str:
        """The same in words."""
        return self._says.currentText()

    def set_awake(self, awake: bool) -> None:
        """Whether clicks on the canvas are taken; says how to go on where they are not."""
        self._asleep.setVisible(not awake and self._show.isEnabled())

    def refresh(self) -> None:
        """Show the field to look at next, and what follows from those entered."""
        work = self._counting.work
        audit = None if self._counting.outdated else self._counting.audit
        asked = audit is not None and not audit.finished
        allow(self._draw, "" if work is not None and work.complete else _PARTIAL)
        more = _NONE_LEFT if audit is not None else _NOT_DRAWN
        allow(self._more, "" if audit is not None and audit.plan.left > 0 else more)
        self._why.setVisible(audit is None)
        self._buttons.setVisible(audit is not None)
        self._says_row.setVisible(asked)
        for button in (self._next, self._show):
            allow(button, "" if asked else _ENTERED)
        self._asleep.setVisible(asked and self._asleep.isVisibleTo(self))
        allow(self._back, "" if audit is not None and audit.seen else _FIRST)
        corrected = () if audit is None else audit.corrected()
        self._where.setText(self._state(audit, corrected))
        self._ask(audit if asked else None)
        self._result.setText(_results(corrected))
        if self._drawing and audit is not None:
            self._drawing = False
            self._on_show()

    def _state(self, audit: Audit | None, corrected: Sequence[Corrected]) -> str:
        """Where the audit stands, in words."""
        work = self._counting.work
        if audit is None:
            if work is not None and not work.complete:
                return _PARTIAL
            return _OUTDATED if self._counting.outdated else "No field is drawn yet."
        done, total = len(audit.seen), audit.plan.fields
        if audit.finished:
            text = f"Every drawn field ({total}) is entered.{_advice(corrected)}"
        else:
            grey = _GREY if UNSURE in audit.plan.columns else ""
            text = f"<b>Field {done + 1} of {total}.</b> {_HOW}{grey}"
        return f"{text} {audit.plan.all_drawn}".rstrip()

    def _ask(self, audit: Audit | None) -> None:
        """A row a class: what was found, and what is there by the points in the field."""
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        self._entries = []
        classes = audit.plan.columns if audit is not None else ()
        self._offer(classes)
        if audit is None:
            return
        for column, text in enumerate(("class", "found", "in truth")):
            self._grid.addWidget(QLabel(text), 0, column)
        counts = zip(classes, audit.found(len(audit.seen)), self._counting.truth, strict=True)
        for i, (name, found, truth) in enumerate(counts, start=1):
            entry = WholeBox(maximum=1_000_000, value=truth)
            self._entries.append(entry)
            for column, widget in enumerate((QLabel(name or "cells"), QLabel(str(found)), entry)):
                self._grid.addWidget(widget, i, column)

    def _offer(self, classes: tuple[str, ...]) -> None:
        """What a click can say."""
        wanted = [*classes, NOT_A_CELL] if classes else []
        if [self._says.itemData(i) for i in range(self._says.count())] == wanted:
            return
        with signals_blocked(self._says):
            self._says.clear()
            for name in wanted:
                self._says.addItem(_SAYS.get(name, name), name)
        self._on_says()

    def _on_says(self) -> None:
        self.saying.emit(self.says)

    def _on_draw(self) -> None:
        audit = self._counting.audit
        done = len(audit.seen) if audit is not None else 0
        if done and not self._counting.outdated:
            yes = QMessageBox.StandardButton.Yes
            if QMessageBox.question(self, "Audit", _AGAIN.format(done)) != yes:
                return
        self._drawing = True
        self._counting.begin_audit(self._fields.value(), secrets.randbelow(2**31))

    def _on_more(self) -> None:
        audit = self._counting.audit
        if audit is not None:
            self._counting.keep_audit(audit.longer(self._fields.value()))
            self._on_show()

    def _on_next(self) -> None:
        audit = self._counting.audit
        if audit is not None and not audit.finished:
            self._counting.keep_audit(audit.entered([entry.value() for entry in self._entries]))
            self._on_show()

    def _on_back(self) -> None:
        audit = self._counting.audit
        if audit is None or not audit.seen:
            return
        self._counting.keep_audit(audit.taken_back())
        for entry, count in zip(self._entries, audit.seen[-1], strict=True):
            entry.setValue(count)
        self._on_show()

    def _on_show(self) -> None:
        audit = self._counting.audit
        field = None if audit is None or audit.finished else audit.box(len(audit.seen))
        self.field.emit(field)


def _advice(corrected: Sequence[Corrected]) -> str:
    """How many fields to add, if that would help."""
    fields = max((count.more for count in corrected), default=0)
    return f" For closer intervals add about {fields:,} fields." if fields else ""


def _results(corrected: Sequence[Corrected]) -> str:
    """The corrected counts in words."""
    lines = [str(c) + (f"; {c.note}" if c.note and c.low is not None else "") for c in corrected]
    title = "<b>Corrected counts</b> (95 % interval)<br>" if lines else ""
    return title + "<br>".join(_named(line) for line in lines)


def _named(line: str) -> str:
    return f"cells{line}" if line.startswith(":") else line
