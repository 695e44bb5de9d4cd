"""Words offered while one types, in the colours of the window."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QStringListModel, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCompleter, QLineEdit, QListView, QWidget


class _Popup(QListView):
    """The list of a completer.

    Qt makes it a window of its own, which has no style of the window that the line is in: white,
    where napari is dark.
    """

    def __init__(self, line: QLineEdit) -> None:
        super().__init__()
        self._line = line

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Look as the line's window does now; a person may change its theme at any time."""
        style = _style_of(self._line)
        if style != self.styleSheet():
            self.setStyleSheet(style)
        super().showEvent(event)


class WordCompleter(QCompleter):
    """Completes what is typed into a line from words that hold it, small and large letters alike.

    Parameters
    ----------
    line : QLineEdit
        Which gets it.
    """

    def __init__(self, line: QLineEdit) -> None:
        self._words = QStringListModel(line)
        super().__init__(self._words, line)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setFilterMode(Qt.MatchFlag.MatchContains)
        self.setPopup(_Popup(line))
        line.setCompleter(self)

    @property
    def words(self) -> list[str]:
        """What is offered."""
        return self._words.stringList()

    def offer(self, words: Sequence[str]) -> None:
        """Offer these from now on."""
        if list(words) != self.words:
            self._words.setStringList(list(words))


def _style_of(widget: QWidget) -> str:
    """The style sheet that holds for a widget: of itself or the nearest that holds it."""
    found: QWidget | None = widget
    while found is not None and not found.styleSheet():
        found = found.parentWidget()
    return "" if found is None else found.styleSheet()
