"""The Audit page of the Count dock: look at random fields, enter what is there."""

from __future__ import annotations

import secrets

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.counting import Counting
from histoprompt._qt.widgets.base import row

_WHY = (
    "Count by eye in a few fields that chance picks: the count is corrected by what you see, and "
    "gets an interval. Draw the fields once: drawing again until the result pleases voids it."
)


class AuditPanel(QWidget):
    """Fields one after another, and the corrected counts.

    Attributes
    ----------
    field : Signal(object)
        The box to look at, or None.
    """

    field = Signal(object)

    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self._counting = counting
        self._fields = QSpinBox(minimum=1, maximum=200, value=10)
        self._draw = QPushButton("Draw fields")
        self._where = QLabel(wordWrap=True)
        self._entries: list[QSpinBox] = []
        self._grid_holder = QWidget()
        self._grid = QGridLayout(self._grid_holder)
        self._next, self._back = QPushButton("Enter, next field"), QPushButton("Back")
        self._show = QPushButton("Show field")
        self._buttons = row(self._next, self._back, self._show)
        self._result = QLabel(wordWrap=True)
        self._result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form = QFormLayout()
        form.addRow("Fields of 100 µm", row(self._fields, self._draw))
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(_WHY, wordWrap=True))
        layout.addLayout(form)
        for widget in (self._where, self._grid_holder, self._buttons, self._result):
            layout.addWidget(widget)
        layout.addStretch(1)
        self._draw.clicked.connect(self._on_draw)
        self._next.clicked.connect(self._on_next)
        self._back.clicked.connect(self._on_back)
        self._show.clicked.connect(self._on_show)

    def refresh(self) -> None:
        """Show the field to look at next, and what follows from those entered."""
        audit = self._counting.audit
        self._buttons.setVisible(audit is not None)
        if audit is None:
            self._where.setText("No field is drawn yet.")
            self._ask((), ())
            self._result.setText("")
            return
        done, total = len(audit.seen), len(audit.plan.chosen)
        self._next.setEnabled(not audit.finished)
        self._show.setEnabled(not audit.finished)
        self._back.setEnabled(done > 0)
        if audit.finished:
            self._where.setText(f"Every drawn field ({total}) is entered.")
            self._ask((), ())
        else:
            self._where.setText(f"<b>Field {done + 1} of {total}</b>: how many cells are in it?")
            self._ask(audit.plan.classes, audit.found(done))
        lines = [
            str(c) + (f"; {c.note}" if c.note and c.low is not None else "")
            for c in audit.corrected()
        ]
        title = "<b>Corrected counts</b> (95 % interval)<br>" if lines else ""
        self._result.setText(title + "<br>".join(_named(line) for line in lines))

    def _ask(self, classes: tuple[str, ...], found: tuple[int, ...]) -> None:
        """A row a class: what was found, and what is there."""
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        self._entries = []
        if classes:
            for column, text in enumerate(("class", "found", "in truth")):
                self._grid.addWidget(QLabel(text), 0, column)
        for i, (name, count) in enumerate(zip(classes, found, strict=True), start=1):
            entry = QSpinBox(maximum=1_000_000, value=count)
            self._entries.append(entry)
            for column, widget in enumerate((QLabel(name or "cells"), QLabel(str(count)), entry)):
                self._grid.addWidget(widget, i, column)

    def _on_draw(self) -> None:
        self._counting.begin_audit(self._fields.value(), secrets.randbelow(2**31))

    def _on_next(self) -> None:
        audit = self._counting.audit
        if audit is not None and not audit.finished:
            self._counting.keep_audit(audit.entered([entry.value() for entry in self._entries]))
            self._on_show()

    def _on_back(self) -> None:
        audit = self._counting.audit
        if audit is not None and audit.seen:
            self._counting.keep_audit(audit.taken_back())
            self._on_show()

    def _on_show(self) -> None:
        audit = self._counting.audit
        field = None if audit is None or audit.finished else audit.box(len(audit.seen))
        self.field.emit(field)


def _named(line: str) -> str:
    return f"cells{line}" if line.startswith(":") else line
