"""The page Scenes: kinds of tissue that tiles fall into by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
)

from histoprompt._qt.explore.gallery import HitGallery
from histoprompt._qt.explore.tile_map import TileMap
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.compact_table import ShortTable, class_item
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.overwriting import may_write
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.scenes.find import ClusterParams
from histoprompt.pipelines.explore.scenes.names import WORDS
from histoprompt.pipelines.explore.scenes.on_slides import SceneLine, ScenesFound
from histoprompt.pipelines.explore.study import HitPicture

# Rows of the dock above the pages.
ABOVE = frozenset({"encoder", "weights", "mpp", "overlap"})
_HEADS = ("Scene", "Margin", "mm²", "mm² here")
_HERE = _HEADS.index("mm² here")
_TIPS = (
    "",
    "How far the likeliest word is ahead of the next",
    "Tissue on all slides",
    "Tissue on the open slide",
)
_HINT = "Find brings tiles that look alike into scenes, over all slides that are asked."
_GALLERY_HEIGHT = 160


class _Names(QComboBox):
    """A list of names that a turn of the wheel over it does not change."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Leave it to the page, which scrolls."""
        event.ignore()


class ScenesPage(Panel):
    """Rows of a search for scenes, and the scenes.

    Attributes
    ----------
    finding, keeping : Signal
        Scenes shall be found; the chosen one shall be kept as regions.
    chosen : Signal(int)
        A scene of the list, from 0; -1 for none.
    renaming : Signal(str)
        The chosen scene shall have this name.
    picked : Signal(int)
        A typical tile, from 0.
    saving : Signal(Path)
        The scenes shall be written into a folder.
    """

    finding, keeping, chosen = Signal(), Signal(), Signal(int)
    renaming, picked, saving = Signal(str), Signal(int), Signal(Path)

    def __init__(self) -> None:
        super().__init__()
        self.options = ParameterForm(ClusterParams(), skip=ABOVE)
        self.find = QPushButton("Find scenes", toolTip="Bring the tiles of all slides into scenes")
        self.told, self.table = NoteLabel(_HINT), ShortTable(_HEADS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        for column, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.gallery = HitGallery()
        self.gallery.setFixedHeight(_GALLERY_HEIGHT)
        self.gallery.setToolTip("Typical tiles of the chosen scene; click one to go there")
        self.map = TileMap()
        self.pick = QPushButton("Pick a tile", checkable=True)
        self.pick.setToolTip("Click tiles on the slide to see their dots on the map")
        self.name = _Names(editable=True, toolTip="Choose a name, or type one and press Enter")
        self.name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._rename = QPushButton("Rename", toolTip="Give the chosen scene this name")
        self.keep = QPushButton("Keep as regions", toolTip="Of the chosen scene, as objects")
        self._save = QPushButton("Save...", toolTip="Tables, outlines, maps and a report")
        self._lay_out()
        self._connect()
        self.show_found("", (), False)

    def value(self, above: IndexParams) -> ClusterParams:
        """How scenes are found; `above` is what the rows above the pages say.

        Raises
        ------
        HistopromptError
            If a row holds what cannot be.
        """
        return replace(self.options.value(), **{name: getattr(above, name) for name in ABOVE})

    def show_found(self, told: str, lines: Sequence[SceneLine], several: bool) -> None:
        """List scenes; `several` is whether they are of more than one slide."""
        self.told.setText(told or _HINT)
        self._result.setVisible(bool(lines))
        self.table.blockSignals(True)
        self.table.setRowCount(len(lines))
        for place, line in enumerate(lines):
            self._fill(place, line)
        self.table.setColumnHidden(_HERE, not several)
        self.table.fit()
        self.table.blockSignals(False)

    def show_map(self, found: ScenesFound | None) -> None:
        """Show all tiles as dots in the colours of their scenes."""
        self.map.mark(-1)
        if found is not None:
            self.map.show_values(found.plane_axes, found.plane, found.codes, found.colours)

    def show_picking(self, on: bool) -> None:
        """Show whether clicks on the slide choose tiles."""
        self.pick.setChecked(on)

    def show_chosen(self, number: int, regions: int, typical: Sequence[HitPicture]) -> None:
        """Show which scene is chosen, its typical tiles, and whether it has regions here."""
        if number != self.table.currentRow():
            self.table.blockSignals(True)
            self.table.selectRow(number)
            self.table.blockSignals(False)
        self.gallery.show_pictures(typical)
        allow(self.keep, "" if regions else "The chosen scene has no region here.")
        self._offer_names(number)

    def _offer_names(self, number: int) -> None:
        """The name of the scene, its likeliest word, and the other words."""
        present = self.table.item(number, 0) if number >= 0 else None
        name = "" if present is None else present.text()
        word = "" if present is None else present.data(Qt.ItemDataRole.UserRole)
        words = dict.fromkeys(filter(None, (name, word, *WORDS)))
        self.name.blockSignals(True)
        self.name.clear()
        self.name.addItems(list(words))
        self.name.setCurrentText(name)
        self.name.blockSignals(False)

    def _fill(self, place: int, line: SceneLine) -> None:
        first = class_item(line.name, line.colour)
        first.setData(Qt.ItemDataRole.UserRole, line.word)
        first.setToolTip(f"{line.tiles:,} tiles" + (f"; likeliest: {line.word}" * bool(line.word)))
        self.table.setItem(place, 0, first)
        for column, value in enumerate((line.margin, line.mm2, line.here), 1):
            shown = "" if value != value else f"{value:.3g}"  # noqa: PLR0124 - NaN
            item = QTableWidgetItem(shown)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(place, column, item)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        for widget in (self.options, self.find, self.told):
            column.addWidget(widget)
        self._result = Panel()
        result = QVBoxLayout(self._result)
        result.setContentsMargins(0, 0, 0, 0)
        form = QFormLayout()
        form.addRow("Name", row(self.name, self._rename))
        result.addWidget(self.table)
        result.addLayout(form)
        result.addWidget(row(self.keep, self._save))
        result.addWidget(self.gallery)
        result.addWidget(self.map)
        result.addWidget(self.pick)
        column.addWidget(self._result)
        column.addStretch(1)

    def _connect(self) -> None:
        self.find.clicked.connect(self.finding)
        self.keep.clicked.connect(self.keeping)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.name.activated.connect(self._on_rename)
        self.name.lineEdit().returnPressed.connect(self._on_typed)
        self._rename.clicked.connect(self._on_rename)
        self._save.clicked.connect(self._on_save)
        self.gallery.picked.connect(self.picked)

    def _on_selected(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        self.chosen.emit(rows[0].row() if rows else -1)

    def _on_rename(self) -> None:
        self.renaming.emit(self.name.currentText())

    def _on_typed(self) -> None:
        if self.name.findText(self.name.currentText()) < 0:  # else the list tells of it
            self._on_rename()

    def _on_save(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "A folder for the scenes")
        if name and may_write(self, Path(name)):
            self.saving.emit(Path(name))
