"""The page Classes: classes of tiles from a few that a person clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
)

from histoprompt._qt.explore.classes import ClassesController
from histoprompt._qt.explore.tile_question import TileQuestion
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.compact_table import ShortTable, class_item
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.apply import TilesParams
from histoprompt.pipelines.explore.tile_classes.fit import TileTrainParams
from histoprompt.pipelines.explore.tile_classes.on_slides import ClassLine

_HEADS = ("Class", "Marks", "Tiles", "mm²", "mm² here")
_HERE = _HEADS.index("mm² here")
_HINT = (
    "Type a class, press Mark tiles and click some; then another class. "
    "Tiles of one named Ignore* are not learnt."
)
_FILES, _TABLES = "Classifiers (*.safetensors)", "Tables of marks (*.csv)"


class ClassesPage(Panel):
    """Rows to teach classes of tiles, and the classes.

    Parameters
    ----------
    control : ClassesController
    above : callable
        Gives what the rows above the pages say, or None after it told why that cannot be.
    link : callable
        Connects a slot to a signal that may outlive the page.
    say : callable
        Shows why something cannot be done.
    """

    def __init__(
        self,
        control: ClassesController,
        above: Callable[[], IndexParams | None],
        link: Callable[[Any, Callable[..., object]], None],
        say: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.control, self._above, self._fail = control, above, say
        self.name = QLineEdit(placeholderText="tumour, stroma, Ignore* ...")
        self.name.setToolTip("The class that clicks give")
        self.mark = QPushButton("Mark tiles", checkable=True)
        self.mark.setToolTip("Click tiles of the class; with Control, take a mark away")
        self.table = ShortTable(_HEADS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.options, self.told = ParameterForm(TileTrainParams()), NoteLabel(_HINT)
        self.learn = QPushButton("Learn", toolTip="Learn from the marks, and classify all tiles")
        self.keep = QPushButton("Keep as regions", toolTip="Of the chosen class, as objects")
        self.save = QPushButton("Save...", toolTip="What was learnt, for other slides")
        self.question = TileQuestion()
        self.read = QPushButton("Load marks...", toolTip="Add those of a table to what is marked")
        self.write = QPushButton("Save marks...", toolTip="As a table, for the command line too")
        self.file = ParameterForm(TilesParams())
        self.apply = QPushButton("Apply", toolTip="Give all tiles the classes of the file")
        self._lay_out()
        self._connect(link)
        self._on_changed()
        self._on_chosen(0)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        form = QFormLayout()
        form.addRow("Class", row(self.name, self.mark))
        column.addLayout(form)
        for widget in (
            self.table, row(self.read, self.write), self.options, self.learn, self.told,
            row(self.keep, self.save), self.question, self.file, self.apply,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addStretch(1)

    def _connect(self, link: Callable[[Any, Callable[..., object]], None]) -> None:
        self.name.textEdited.connect(self._on_name)
        self.mark.clicked.connect(self._on_mark)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.learn.clicked.connect(self._on_learn)
        self.apply.clicked.connect(self._on_apply)
        self.keep.clicked.connect(self.control.commit)
        self.save.clicked.connect(self._on_save)
        self.left.connect(self.control.picking.stop)
        self.read.clicked.connect(self._on_read)
        self.write.clicked.connect(self._on_write)
        self.question.answered.connect(self.control.answer)
        self.question.look.connect(self.control.look)
        self.question.alike.toggled.connect(self.control.ask_alike)
        link(self.control.changed, self._on_changed)
        link(self.control.chosen, self._on_chosen)
        link(self.control.toggled, self._on_toggled)

    # -- what happens ------------------------------------------------------------------------

    def _on_name(self) -> None:
        self.control.choose(self.name.text())

    def _on_mark(self, on: bool) -> None:
        above = self._above() if on else None
        if above is None:
            self.control.picking.stop()
            self.mark.setChecked(False)
        else:
            self.control.mark(above)

    def _on_toggled(self, on: bool) -> None:
        self.mark.setChecked(on)

    def _on_learn(self) -> None:
        above = self._above()
        if above is not None and (params := self.options.asked(self._fail)) is not None:
            self.control.learn(above, params)

    def _on_apply(self) -> None:
        if (params := self.file.asked(self._fail)) is not None:
            self.control.classify(params)

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save what was learnt", "tiles.safetensors", _FILES
        )
        if name:
            self.control.save(Path(name))

    def _on_read(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load marks", "", _TABLES)
        if name:
            self.control.load_marks(Path(name))

    def _on_write(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save marks", "marks.csv", _TABLES)
        if name:
            self.control.save_marks(Path(name))

    def _on_selected(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.name.setText(self.table.item(rows[0].row(), 0).text())
            self._on_name()

    def _on_changed(self) -> None:
        """List the classes with their marks and areas."""
        found, lines = self.control.found, self.control.lines()
        self.told.setText(_HINT if found is None else found.told)
        learnt = found is not None and found.fit is not None
        allow(self.save, "" if learnt else "Mark some tiles of two classes first, and learn.")
        allow(self.write, "" if self.control.marks else "Mark a tile first.")
        self.question.show_queue(None if found is None else found.queue)
        self.table.blockSignals(True)
        self.table.setRowCount(len(lines))
        for place, line in enumerate(lines):
            self._fill(place, line)
        several = found is not None and len(found.study.sources) > 1
        self.table.setColumnHidden(_HERE, not several)
        self.table.fit()
        self.table.blockSignals(False)

    def _on_chosen(self, regions: int) -> None:
        """Show which class is chosen, and whether it has regions here."""
        name = self.control.name
        if self.name.text().strip() != name:
            self.name.setText(name)
        names = [self.table.item(k, 0).text() for k in range(self.table.rowCount())]
        self.table.blockSignals(True)
        if name in names:
            self.table.selectRow(names.index(name))
        else:
            self.table.clearSelection()
        self.table.blockSignals(False)
        allow(self.keep, "" if regions else "The chosen class has no region here.")

    def _fill(self, place: int, line: ClassLine) -> None:
        self.table.setItem(place, 0, class_item(line.name, line.colour))
        areas = ("" if v != v else f"{v:.3g}" for v in (line.mm2, line.here))  # noqa: PLR0124 - NaN
        for column, text in enumerate((str(line.marks), str(line.tiles), *areas), 1):
            item = QTableWidgetItem(text)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(place, column, item)
