"""The classes of a slide: legend, counts and editor in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QFileDialog,
    QGridLayout,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from histoprompt._qt.widgets.base import row
from histoprompt._qt.widgets.buttons import button_of
from histoprompt._qt.widgets.compact_table import ShortTable
from histoprompt.annotations.class_list import ObjectClass, moved, recoloured, renamed
from histoprompt.core.labels.classes import Colour, cell_colours

_NAME = 1
_FILE = "Classes of QuPath (*.json)"


class ClassPanel(QWidget):
    """Shows the list of classes, and tells what a person wants of it.

    Attributes
    ----------
    given : Signal(str)
        Give the chosen objects this class; "" takes theirs away.
    edited : Signal(tuple, dict, str)
        Another list, which classes were renamed in it, and what was done.
    read, written : Signal(str)
        A file to read a list from, or to write it to.
    """

    given = Signal(str)
    edited = Signal(tuple, dict, str)
    read = Signal(str)
    written = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._classes: tuple[ObjectClass, ...] = ()
        self.table = ShortTable(("key", "class", "objects", "regions"))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, header.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, header.ResizeMode.Stretch)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QTableWidget.EditTrigger.DoubleClicked)
        self.table.setAccessibleName("Classes")
        self.table.itemChanged.connect(self._on_renamed)
        self.new = QLineEdit(placeholderText="new class; end it with * to ignore it")
        self.new.setAccessibleName("New class")
        self.new.returnPressed.connect(self._on_new)
        self.buttons = {
            name: button_of(*words)
            for name, words in {
                "give": ("Give class", "Give the chosen objects this class (or press its number)"),
                "none": ("No class", "Take the class of the chosen objects away"),
                "colour": ("Colour ...", "Choose the colour of the class"),
                "up": ("Up", "Move the class up: its number key changes"),
                "remove": ("Remove", "Take a class without objects off the list"),
                "read": ("Read ...", "Take classes and colours from a QuPath project's list"),
                "write": ("Write ...", "Write the classes as a QuPath project's list"),
                "add": ("Add", "Add the new class to the list"),
            }.items()
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(row(self.new, self.buttons["add"]))
        grid = QGridLayout()
        for i, name in enumerate(("give", "none", "colour", "up", "remove", "read", "write")):
            grid.addWidget(self.buttons[name], i // 4, i % 4)
        layout.addLayout(grid)
        acts: dict[str, Callable[[], None]] = {
            "give": self._on_give,
            "none": lambda: self.given.emit(""),
            "colour": self._on_colour,
            "up": self._on_up,
            "remove": self._on_remove,
            "read": self._on_read,
            "write": self._on_write,
            "add": self._on_new,
        }
        for name, act in acts.items():
            self.buttons[name].clicked.connect(act)

    def show_classes(
        self, classes: Sequence[ObjectClass], counts: Mapping[str, tuple[int, int]]
    ) -> None:
        """Show a list, and how many objects and regions each class has."""
        chosen = self.chosen
        self._classes = tuple(classes)
        with signals_blocked(self.table):
            self.table.setRowCount(len(classes))
            for i, item in enumerate(classes):
                objects, regions = counts.get(item.name, (0, 0))
                key = str(i + 1) if i < 9 else ""
                self._put(i, item, (key, item.name, f"{objects:,}", f"{regions:,}"))
            self.table.fit()
        self.choose(chosen)

    @property
    def chosen(self) -> str:
        """The class whose row is selected, "" for none."""
        at = self.table.currentRow()
        return self._classes[at].name if 0 <= at < len(self._classes) else ""

    def choose(self, name: str) -> None:
        """Select the row of a class, if it is there."""
        names = [item.name for item in self._classes]
        if name in names:
            self.table.setCurrentCell(names.index(name), _NAME)

    def name_of_key(self, key: int) -> str | None:
        """The class a number key stands for, None if there is none."""
        return self._classes[key - 1].name if 1 <= key <= len(self._classes) else None

    # -- inner -----------------------------------------------------------------------------------

    def _put(self, line: int, item: ObjectClass, texts: Sequence[str]) -> None:
        tip = "Left out of exports; its objects stay visible" if item.ignored else ""
        for column, text in enumerate(texts):
            cell = QTableWidgetItem(text)
            cell.setToolTip(tip)
            if column == _NAME:
                cell.setData(Qt.ItemDataRole.DecorationRole, QColor(*item.colour))
            else:
                cell.setFlags(cell.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(line, column, cell)

    def _on_give(self) -> None:
        if self.chosen:
            self.given.emit(self.chosen)

    def _on_new(self) -> None:
        name = self.new.text().strip()
        if not name:
            return
        self.new.clear()
        taken = {item.name: item.colour for item in self._classes}
        colour = cell_colours([name], colours=taken)[name]
        self.edited.emit((*self._classes, ObjectClass(name, colour)), {}, f"added class {name}")

    def _on_renamed(self, cell: QTableWidgetItem) -> None:
        old, new = self._classes[cell.row()].name, cell.text().strip()
        if new != old:
            names = renamed(self._classes, old, new)
            self.edited.emit(names, {old: new}, f"renamed class {old} to {new}")

    def _on_colour(self) -> None:
        name = self.chosen
        if not name:
            return
        now = next(item.colour for item in self._classes if item.name == name)
        picked = QColorDialog.getColor(QColor(*now), self, f"Colour of {name}")
        if picked.isValid():
            colour: Colour = (picked.red(), picked.green(), picked.blue())
            self.edited.emit(recoloured(self._classes, name, colour), {}, f"coloured class {name}")

    def _on_up(self) -> None:
        if self.chosen:
            classes = moved(self._classes, self.chosen, -1)
            self.edited.emit(classes, {}, f"moved class {self.chosen} up")

    def _on_remove(self) -> None:
        name = self.chosen
        if name:
            left = tuple(item for item in self._classes if item.name != name)
            self.edited.emit(left, {}, f"removed class {name}")

    def _on_read(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Read classes", "", _FILE)
        if path:
            self.read.emit(path)

    def _on_write(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Write classes", "classes.json", _FILE)
        if path:
            self.written.emit(path)
