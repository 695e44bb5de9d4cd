"""What a field offers while a person types, in the colours of napari."""

from __future__ import annotations

from napari.qt import get_current_stylesheet
from qtpy.QtCore import QAbstractItemModel, QEvent, QObject, QStringListModel, Qt
from qtpy.QtWidgets import QAbstractItemView, QCompleter


class Completer(QCompleter):
    """Completes words by any part of them, in any case.

    Its list is a window of its own, so it takes no theme from the window it belongs to.

    Parameters
    ----------
    model : QAbstractItemModel or list of str
        The words.
    parent : QObject
        The field.
    """

    def __init__(self, model: QAbstractItemModel | list[str], parent: QObject) -> None:
        words = QStringListModel(model, parent) if isinstance(model, list) else model
        super().__init__(words, parent)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setFilterMode(Qt.MatchFlag.MatchContains)
        self._list: QAbstractItemView | None = self.popup()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Put the theme that napari has now on the list before it is seen."""
        offered = self._list
        shown = event is not None and event.type() == QEvent.Type.Show
        if shown and offered is not None and watched is offered:
            offered.setStyleSheet(get_current_stylesheet())
        return bool(super().eventFilter(watched, event))
