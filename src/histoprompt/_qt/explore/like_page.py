"""The page Like: examples, words, hits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
)

from histoprompt._qt.explore.examples import SignedExample
from histoprompt._qt.explore.gallery import HitGallery
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Panel, row
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.number_box import NumberBox
from histoprompt._qt.widgets.work_strip import NoteLabel
from histoprompt.pipelines.explore.like import LikeParams
from histoprompt.pipelines.explore.study import QueryResult

# What a click takes, and what it is called.
TAKES = {"tile": "The tile there", "object": "The committed object", "cell": "The counted cell"}
_LIST_HEIGHT = 84
_NO_WORDS = "This encoder knows no words"


class LikePage(Panel):
    """Rows of a search by example.

    Attributes
    ----------
    picking : Signal(bool)
        Clicks on the slide shall give examples, or no more.
    drawing : Signal(bool)
        A rectangle shall be drawn that is an example; of what is meant if true.
    pictured : Signal(object, bool)
        A picture is an example: its Path, and whether it is of what is meant.
    removing : Signal(list)
        Rows of the list of examples.
    finding : Signal
    cut_moved : Signal(float)
        Another threshold.
    keeping : Signal(str)
        The regions shall be kept as objects of this class.
    picked : Signal(int)
        A hit, by its number from 0.
    """

    picking, drawing, pictured = Signal(bool), Signal(bool), Signal(object, bool)
    removing, finding, cut_moved = Signal(list), Signal(), Signal(float)
    keeping, picked = Signal(str), Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.examples = QListWidget(toolTip="Examples: + is meant, \N{MINUS SIGN} is not meant")
        self.examples.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.examples.setFixedHeight(_LIST_HEIGHT)
        self._takes = QComboBox()
        self._takes.addItems(list(TAKES.values()))
        self._pick = QPushButton("Use as example", checkable=True)
        self._pick.setToolTip("Click on the slide; with Control, what is not meant")
        self._more, self._less = QPushButton("Box +"), QPushButton("Box \N{MINUS SIGN}")
        self._more.setToolTip("Drag a rectangle around what is meant")
        self._less.setToolTip("Drag a rectangle around what is not meant")
        self._picture = QPushButton("Picture...", toolTip="A picture of what is meant")
        self._remove = QPushButton("Remove", toolTip="Take the chosen examples out of the list")
        self.words = QLineEdit(placeholderText="Words, with commas between")
        self.options = ParameterForm(LikeParams())
        self.find = QPushButton("Find", toolTip="Look for more like this")
        self.gallery, self.told = HitGallery(), NoteLabel()
        self.cut = NumberBox((-1.0, 1.0), decimals=2, minimum=-1.0, maximum=1.0, singleStep=0.02)
        self.cut.setToolTip("Tiles at or above it become regions")
        self.name = QLineEdit("like the examples")
        self.name.setToolTip("The class of the regions")
        self._keep = QPushButton("Commit regions", toolTip="Keep the regions as objects")
        self._lay_out()
        self._connect()
        self.show_found(None)

    @property
    def takes(self) -> str:
        """What a click takes: tile, object or cell."""
        return list(TAKES)[self._takes.currentIndex()]

    @property
    def texts(self) -> tuple[str, ...]:
        """The words; none where the encoder knows none."""
        if not self.words.isEnabled():
            return ()
        return tuple(filter(None, (word.strip() for word in self.words.text().split(","))))

    def take(self, what: str) -> None:
        """Choose what a click takes."""
        self._takes.setCurrentIndex(list(TAKES).index(what))

    def offer_words(self, known: bool) -> None:
        """Whether the encoder knows words."""
        self.words.setEnabled(known)
        self.words.setToolTip("" if known else _NO_WORDS)
        self.words.setPlaceholderText("Words, with commas between" if known else _NO_WORDS)

    def show_examples(self, given: Sequence[SignedExample]) -> None:
        """List the examples."""
        self.examples.clear()
        for one in given:
            sign = "+" if one.like else "\N{MINUS SIGN}"
            self.examples.addItem(f"{sign} {one.what}  {one.example}")
            self.examples.item(self.examples.count() - 1).setToolTip(str(one.example.place))

    def show_picking(self, on: bool) -> None:
        """Whether clicks give examples."""
        self._pick.setChecked(on)

    def show_found(self, found: QueryResult | None) -> None:
        """Show hits and what a person should know of them."""
        for widget in (self.gallery, self.told, self._result):
            widget.setVisible(found is not None)
        if found is None:
            return
        self.gallery.show_pictures(found.pictures)
        self.told.setText("\n".join(line[:1].upper() + line[1:] + "." for line in found.told))
        self.cut.blockSignals(True)
        self.cut.setValue(found.cut)
        self.cut.blockSignals(False)

    def show_regions(self, count: int) -> None:
        """How many regions there are on the open slide."""
        allow(self._keep, "" if count else "No hit is a region of the open slide.")

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        form = QFormLayout()
        form.addRow("A click takes", row(self._takes, self._pick))
        column.addLayout(form)
        column.addWidget(self.examples)
        column.addWidget(row(self._more, self._less, self._picture, self._remove))
        column.addWidget(self.words)
        column.addWidget(self.options)
        column.addWidget(self.find)
        column.addWidget(self.told)
        column.addWidget(self.gallery)
        self._result = Panel()
        result = QFormLayout(self._result)
        result.setContentsMargins(0, 0, 0, 0)
        result.addRow("Threshold", self.cut)
        result.addRow("Class", row(self.name, self._keep))
        column.addWidget(self._result)
        column.addStretch(1)

    def _connect(self) -> None:
        self._pick.clicked.connect(self.picking)
        self._more.clicked.connect(self._on_more)
        self._less.clicked.connect(self._on_less)
        self._picture.clicked.connect(self._on_picture)
        self._remove.clicked.connect(self._on_remove)
        self.words.returnPressed.connect(self.finding)
        self.find.clicked.connect(self._on_find)
        self.cut.valueChanged.connect(self.cut_moved)
        self._keep.clicked.connect(self._on_keep)
        self.gallery.picked.connect(self.picked)

    def _on_more(self) -> None:
        self.drawing.emit(True)

    def _on_less(self) -> None:
        self.drawing.emit(False)

    def _on_find(self) -> None:
        self.finding.emit()

    def _on_keep(self) -> None:
        self.keeping.emit(self.name.text().strip() or "like the examples")

    def _on_remove(self) -> None:
        rows = sorted({index.row() for index in self.examples.selectedIndexes()})
        self.removing.emit(rows)

    def _on_picture(self) -> None:
        kinds = "Pictures (*.png *.jpg *.jpeg *.tif *.tiff *.bmp)"
        name, _ = QFileDialog.getOpenFileName(self, "A picture of what is meant", "", kinds)
        if name:
            self.pictured.emit(Path(name), True)

    def keyPressEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Delete takes the chosen examples out."""
        key = getattr(event, "key", lambda: None)()
        if key == Qt.Key.Key_Delete and self.examples.hasFocus():
            self._on_remove()
        else:
            super().keyPressEvent(event)
