"""The Objects dock: a list of committed objects and regions, and the classes they have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QItemSelectionModel, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from histoprompt._qt.layers.camera import fly_to
from histoprompt._qt.objects.class_panel import ClassPanel
from histoprompt._qt.objects.model import RosterModel
from histoprompt._qt.prompts.annotating import Annotating
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell import messages
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Dock, row
from histoprompt.annotations import choosing
from histoprompt.annotations.class_list import ObjectClass, with_others
from histoprompt.annotations.history import Change
from histoprompt.annotations.planes import Plane
from histoprompt.annotations.roster import COLUMNS, Chosen, Roster
from histoprompt.core.errors import HistopromptError
from histoprompt.core.strings.wording import capital, many
from histoprompt.pipelines.formats.qupath_classes import read_class_list, write_class_list

# Edits come faster than a long list can be made.
REFRESH_MS = 200
_HEIGHT = 170
_HIDDEN = "Committed objects or regions are hidden: show them in the list of layers."
_HINT = "Click a row to go there; number keys give the chosen rows a class."
_NO_SLIDE = "Choose an image in the Prompt dock; its committed objects are listed here."
_KINDS: tuple[tuple[str, Plane | None], ...] = (
    ("objects and regions", None),
    ("objects", "objects"),
    ("regions", "regions"),
)


class ObjectsDock(Dock):
    """Find objects in a list, and change the classes of one or many."""

    def _build(self) -> None:
        self._annotating = self.session.part(Annotating)
        self._bound: Annotator | None = None
        self._seen = -1
        self._soon = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self.model, self.table, self.panel = RosterModel(), _Table(), ClassPanel()
        self.table.setModel(self.model)
        self.table.sortByColumn(COLUMNS.index("id"), Qt.SortOrder.AscendingOrder)
        self.table.setSortingEnabled(True)
        self.search = QLineEdit(placeholderText="filter: class, model, id ...")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Filter")
        self.kind = QComboBox()
        self.kind.setAccessibleName("Kind")
        self.kind.addItems([text for text, _ in _KINDS])
        self.buttons = {
            name: QPushButton(text, toolTip=tip)
            for name, (text, tip) in {
                "merge": ("Merge", "Join the chosen rows to one object or region"),
                "delete": ("Delete", "Remove the chosen rows (Delete key)"),
                "regions": ("To regions", "Make the chosen objects regions"),
                "objects": ("To objects", "Make the chosen regions objects"),
            }.items()
        }
        self._status = QLabel(_HINT, wordWrap=True)
        layout = QVBoxLayout(self.content)
        layout.addWidget(row(self.search, self.kind))
        layout.addWidget(self.table, 1)
        layout.addWidget(row(*self.buttons.values()))
        layout.addWidget(QLabel("<b>Classes</b>"))
        layout.addWidget(self.panel)
        self.foot.addWidget(self._status)

    def _connect(self) -> None:
        self.search.textChanged.connect(self._on_wanted)
        self.kind.currentIndexChanged.connect(self._on_wanted)
        self.table.selectionModel().selectionChanged.connect(self._on_selected)
        self.table.digit.connect(self._on_digit)
        self.table.removed.connect(self._on_delete)
        acts: dict[str, Callable[[], None]] = {
            "merge": self._on_merge,
            "delete": self._on_delete,
            "regions": partial(self._on_move, "regions"),
            "objects": partial(self._on_move, "objects"),
        }
        for name, act in acts.items():
            self.buttons[name].clicked.connect(act)
        self.panel.given.connect(self._give)
        self.panel.edited.connect(self._on_classes)
        self.panel.read.connect(self._on_read)
        self.panel.written.connect(self._on_write)
        self._soon.timeout.connect(self._refresh)
        self.link(self._annotating.changed, self._bind)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.steps.passed, self._on_passed)

    def _start(self) -> None:
        self._bind()

    def _bind(self) -> None:
        """Serve the session's annotator, which may be a new one or none."""
        annotator = self._annotating.annotator
        self._bound, self._seen = annotator, -1
        for part in (self.table, self.panel, *self.buttons.values()):
            allow(part, "" if annotator is not None else _NO_SLIDE)
        if annotator is None:
            self.model.show_roster(None, ())
            self.panel.show_classes((), {})
            self._say(self._annotating.reason or _NO_SLIDE)
            return
        self.link(annotator.changed, self._on_changed)
        for plane in annotator.planes:
            self.link(plane.picked, partial(self._on_picked, plane.store.plane))
        self._refresh()
        self.table.resizeColumnsToContents()
        self._say(_HINT)

    # -- what is shown ---------------------------------------------------------------------------

    @property
    def chosen(self) -> Chosen:
        """The ids of the selected rows, by plane."""
        return self.model.chosen(self.table.selectionModel().selectedRows())

    def _on_changed(self) -> None:
        if self._bound is not None and self._bound.store.journal_bytes != self._seen:
            self._soon.start()

    def _refresh(self) -> None:
        """List the objects as they are now; those that were chosen stay so."""
        bound = self._bound
        if bound is None:
            return
        chosen = self.chosen
        self._soon.stop()  # the edit that this shows has asked for it too
        self._seen = bound.store.journal_bytes
        roster, classes = Roster(bound.store, bound.slide.mpp), bound.store.class_list()
        with signals_blocked(self.table.selectionModel()):
            self.model.show_roster(roster, classes)
        self._select(chosen)
        self.table.widen()
        self.panel.show_classes(classes, roster.counts())

    def _on_wanted(self) -> None:
        chosen = self.chosen
        with signals_blocked(self.table.selectionModel()):
            self.model.want(self.search.text(), _KINDS[self.kind.currentIndex()][1])
        self._select(chosen)
        self._say(f"{many(self.model.rowCount(), 'row')} of the list match.")

    def _select(self, chosen: Chosen) -> None:
        """Select rows without flying there."""
        selection = self.model.selection_of(chosen)
        with signals_blocked(self.table.selectionModel()):
            flag = QItemSelectionModel.SelectionFlag
            self.table.selectionModel().select(selection, flag.ClearAndSelect | flag.Rows)
        self.table.viewport().update()

    def _on_selected(self) -> None:
        """One chosen row: go there."""
        rows, bound = self.table.selectionModel().selectedRows(), self._bound
        if bound is None or self.model.roster is None or len(rows) != 1:
            return
        fly_to(self.viewer, bound.image, self.model.roster.box(self.model.row_at(rows[0])))
        bound.follow_view()
        if not all(plane.layer.visible for plane in bound.planes):
            self._say(_HIDDEN)

    def _on_picked(self, plane: Plane, object_id: int) -> None:
        """Chosen on the slide: select its row."""
        if self._bound is None or not object_id:
            return
        self._select({plane: [object_id]})
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.table.scrollTo(rows[0])

    # -- what is done ----------------------------------------------------------------------------

    def _on_digit(self, key: int) -> None:
        name = self.panel.name_of_key(key)
        if name is None:
            self._say(f"There is no class with the number {key}.")
        else:
            self._give(name)

    def _give(self, name: str) -> None:
        chosen = self._some()
        if chosen:
            what = f"{_text_of(chosen)}: {name or 'no class'}"
            self._do(lambda at: choosing.reclassify(at.store, chosen, name), what)

    def _on_delete(self) -> None:
        chosen = self._some()
        if chosen:
            self._do(lambda at: choosing.delete(at.store, chosen), f"Deleted {_text_of(chosen)}")

    def _on_merge(self) -> None:
        chosen = self._some()
        if chosen:
            self._do(lambda at: choosing.merge(at.store, chosen), f"Merged {_text_of(chosen)}")

    def _on_move(self, plane: Plane) -> None:
        chosen = self._some()
        if chosen:
            what = f"Moved to {plane}: {_text_of(chosen)}"
            self._do(lambda at: choosing.move(at.store, chosen, plane)[1], what)

    def _on_classes(
        self, classes: tuple[ObjectClass, ...], renamed: dict[str, str], what: str
    ) -> None:
        told = capital(what)
        if not self._do(lambda at: at.store.set_class_list(classes, renamed), told):
            self._refresh()  # what was typed is in the table, and was not taken

    def _on_read(self, path: str) -> None:
        def read(at: Annotator) -> Change | None:
            new = with_others(read_class_list(Path(path)), at.store.class_list())
            return at.store.set_class_list(new)

        self._do(read, "Read the classes of a file")

    def _on_write(self, path: str) -> None:
        if self._bound is None:
            return
        try:
            write_class_list(Path(path), self._bound.store.class_list())
        except HistopromptError as error:
            self._fail(messages.told(error))
        else:
            self._say(f"Classes written to {path}.")

    def _some(self) -> Chosen:
        chosen = self.chosen
        if not chosen:
            self._say("Choose rows of the list first.")
        return chosen

    def _do(self, act: Callable[[Annotator], Change | None], what: str) -> bool:
        """Make an edit, show it on the slide, and let it be taken back; whether it was made."""
        bound = self._bound
        if bound is None:
            return False
        try:
            change = act(bound)
        except HistopromptError as error:
            self._fail(messages.told(error))
            return False
        if change is None:
            self._say("Nothing was changed: it is so already.")
            return False
        bound.committed.show_change(change, what)
        self._refresh()
        self._say(f"{what}.")
        return True

    def _fail(self, text: str) -> None:
        self._say(text)
        messages.show_error(text)

    def _on_passed(self, text: str) -> None:
        if self._status.text() == text:
            self._say(_HINT)

    def _say(self, text: str) -> None:
        self._status.setText(text)


class _Table(QTableView):
    """Rows to choose; number keys and Delete are told.

    Attributes
    ----------
    digit : Signal(int)
        A number key, 1 ... 9.
    removed : Signal
        The Delete key.
    """

    digit = Signal(int)
    removed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.verticalHeader().setVisible(False)
        self.setMinimumHeight(_HEIGHT)
        self.setAccessibleName("Objects")
        # columns are as wide as the rows in view want them: all rows would take a second
        self.horizontalHeader().setResizeContentsPrecision(0)

    def widen(self) -> None:
        """Give columns the room that the rows in view want; none becomes narrower."""
        for column in range(self.model().columnCount()):
            wanted = self.sizeHintForColumn(column)
            if wanted > self.columnWidth(column):
                self.setColumnWidth(column, wanted)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Take number keys and Delete; Qt has the rest."""
        key = event.key() - Qt.Key.Key_0
        if 1 <= key <= 9 and event.modifiers() in (_NONE, _KEYPAD):
            self.digit.emit(key)
        elif event.key() == Qt.Key.Key_Delete:
            self.removed.emit()
        else:
            super().keyPressEvent(event)


_NONE, _KEYPAD = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier


def _text_of(chosen: Chosen) -> str:
    nouns: dict[Plane, str] = {"objects": "object", "regions": "region"}
    told = [
        f"{nouns[plane]} {ids[0]}" if len(ids) == 1 else many(len(ids), nouns[plane])
        for plane, ids in chosen.items()
    ]
    return " and ".join(told)
