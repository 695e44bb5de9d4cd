"""The page Concepts: what decides the class of a tile, and what must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
)

from histoprompt._qt.explore.concepts import ConceptsController
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.compact_table import ShortTable
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.pipelines.explore.concepts.on_slides import ConceptLine
from histoprompt.pipelines.explore.concepts.params import ConceptApplyParams, ConceptParams
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.marks import TileMark

_HEADS = ("Concept", "Speaks for", "Weight", "Decided")
_TIPS = (
    "A phrase, or a property that is measured",
    "The class it says most for",
    "A logit per standard deviation",
    "Tiles of which it decided the class",
)
_HINT = (
    "Mark tiles of two classes on the page Classes, type what may be seen in them, and press "
    "Learn. Phrases need a model of words."
)
_FILES = "Concepts (*.json)"
# Rows of the dock above the pages, and what is struck out in the table.
ABOVE = frozenset(one.name for one in fields(IndexParams))
OTHERWISE = ABOVE | {"strike"}


class ConceptsPage(Panel):
    """Rows to learn concepts, and the concepts with what they decided.

    Parameters
    ----------
    control : ConceptsController
    marks : callable
        Gives the tiles that are marked.
    above : callable
        Gives what the rows above the pages say, or None after it told why that cannot be.
    link : callable
        Connects a slot to a signal that may outlive the page.
    say : callable
        Shows why something cannot be done.
    """

    def __init__(
        self,
        control: ConceptsController,
        marks: Callable[[], tuple[TileMark, ...]],
        above: Callable[[], IndexParams | None],
        link: Callable[[Any, Callable[..., object]], None],
        say: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.control, self._marks, self._above, self._fail = control, marks, above, say
        self.options = ParameterForm(ConceptParams(), skip=OTHERWISE)
        self.learn = QPushButton("Learn", toolTip="Learn from the marks which concepts decide")
        self.told, self.answer = NoteLabel(_HINT), NoteLabel()
        self.table = ShortTable(_HEADS)
        for column, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.ask = QPushButton("Why this tile?", checkable=True)
        self.ask.setToolTip("Click a tile to see which concept decided its class")
        self.strike = QPushButton("Strike out")
        self.save = QPushButton("Save...", toolTip="The concepts, for other slides")
        self.file = ParameterForm(ConceptApplyParams())
        self.apply = QPushButton("Apply", toolTip="Tell all tiles by the concepts of the file")
        self._lay_out()
        self._connect(link)
        self._on_changed()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        for widget in (
            self.options, self.learn, self.told, row(self.ask, self.strike, self.save),
            self.answer, self.table, self.file, self.apply,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addStretch(1)

    def _connect(self, link: Callable[[Any, Callable[..., object]], None]) -> None:
        self.learn.clicked.connect(self._on_learn)
        self.ask.clicked.connect(self._on_ask)
        self.strike.clicked.connect(self._on_strike)
        self.save.clicked.connect(self._on_save)
        self.apply.clicked.connect(self._on_apply)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.left.connect(self.control.picking.stop)
        link(self.control.changed, self._on_changed)
        link(self.control.asked, self._on_asked)
        link(self.control.toggled, self._on_toggled)

    def _on_learn(self) -> None:
        above, params = self._above(), self.options.asked(self._fail)
        if above is not None and params is not None:
            seen = {name: getattr(above, name) for name in ABOVE}
            self.control.learn(replace(params, **seen), self._marks())

    def _on_apply(self) -> None:
        if (params := self.file.asked(self._fail)) is not None:
            self.control.tell(params)

    def _on_ask(self, on: bool) -> None:
        if on:
            self.control.ask()
        else:
            self.control.picking.stop()

    def _on_asked(self, text: str) -> None:
        self.answer.setText(text)

    def _on_toggled(self, on: bool) -> None:
        self.ask.setChecked(on)

    def _on_strike(self) -> None:
        line = self._chosen()
        if line is not None:
            self.control.strike(line.name, out=not line.struck)

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save concepts", "concepts.json", _FILES)
        if name:
            self.control.save(Path(name))

    def _on_selected(self) -> None:
        line, found = self._chosen(), self.control.found
        usable = line is not None and found is not None and found.lesson is not None
        again = line is not None and line.struck
        self.strike.setText("Let decide" if again else "Strike out")
        self.strike.setToolTip(
            "Learn anew with it" if again else "Learn anew without it; what that costs is told"
        )
        allow(self.strike, "" if usable else "Learn first, then choose a line of the table.")

    def _on_changed(self) -> None:
        found, lines = self.control.found, self.control.lines()
        self.told.setText(_HINT if found is None else found.told)
        self.answer.setText("")
        allow(self.save, "" if found is not None else "Learn concepts first.")
        self.table.setRowCount(len(lines))
        for place, line in enumerate(lines):
            self._fill(place, line)
        self.table.clearSelection()
        self.table.fit()
        self._on_selected()

    def _fill(self, place: int, line: ConceptLine) -> None:
        told = (
            (line.name, "struck out", "", "")
            if line.struck
            else (line.name, line.speaks_for, f"{line.weight:+.2f}", str(line.tiles))
        )
        for column, text in enumerate(told):
            item = QTableWidgetItem(text)
            font = item.font()
            font.setStrikeOut(line.struck and column == 0)
            item.setFont(font)
            if column > 1:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(place, column, item)

    def _chosen(self) -> ConceptLine | None:
        """The concept that is selected."""
        rows = self.table.selectionModel().selectedRows()
        lines = self.control.lines()
        return lines[rows[0].row()] if rows and rows[0].row() < len(lines) else None
