"""The slides of a project for Qt's views: thousands of rows, pictures of those in sight only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSize, Qt, Signal
from qtpy.QtGui import QPixmap

from histoprompt.pipelines.overview.status import SlideState
from histoprompt.pipelines.project.table import ProjectSlide

_ROLE = Qt.ItemDataRole
_HEADS = {
    "id": "Slide", "state": "State", "objects": "Objects", "cells": "Cells", "notes": "Notes",
}  # fmt: skip
_HIDDEN = {"id", "path", "key", "mpp"}
SIDE = 48


class SlideModel(QAbstractTableModel):
    """Slides as rows.

    Attributes
    ----------
    wanted : Signal(str)
        The picture of a slide, by its id, came into sight and is not there yet.
    """

    wanted = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.slides: tuple[ProjectSlide, ...] = ()
        self._states: dict[str, SlideState] = {}
        self._pictures: dict[str, QPixmap | None] = {}
        self._own: tuple[str, ...] = ()

    def show_slides(self, slides: Sequence[ProjectSlide], columns: Sequence[str]) -> None:
        """Show other slides; `columns` are those of the table, shown behind what is known."""
        self.beginResetModel()
        self.slides = tuple(slides)
        self._own = tuple(c for c in columns if c not in _HIDDEN)
        self._states, self._pictures = {}, {}
        self.endResetModel()

    def show_states(self, states: Sequence[SlideState]) -> None:
        """Tell what was made of each."""
        self._states = {state.slide.id: state for state in states}
        if self.slides:
            last = self.index(len(self.slides) - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def show_picture(self, slide_id: str, picture: QPixmap | None) -> None:
        """The picture of a slide; None if there is none to be had."""
        self._pictures[slide_id] = picture
        row = next((i for i, s in enumerate(self.slides) if s.id == slide_id), None)
        if row is not None:
            self.dataChanged.emit(self.index(row, 0), self.index(row, 0), [_ROLE.DecorationRole])

    # -- what Qt asks ----------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """How many slides."""
        return len(self.slides)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """What is known, then the columns of the table."""
        return len(_HEADS) + len(self._own)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802
        """Names of columns."""
        if role != _ROLE.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return [*_HEADS.values(), *self._own][section]

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """A cell: its text, its picture, or what it is sorted by."""
        slide = self.slides[index.row()]
        if role == _ROLE.DecorationRole and index.column() == 0:
            return self._picture(slide)
        if role == _ROLE.SizeHintRole and index.column() == 0:
            return QSize(SIDE + 90, SIDE + 4)
        value = self._value(slide, index.column())
        if role == _ROLE.DisplayRole:
            return "" if value is None else f"{value:,}" if isinstance(value, int) else value
        if role == _ROLE.UserRole:
            return -1 if value is None else value
        if role == _ROLE.ToolTipRole:
            return self._tip(slide)
        return None

    def _value(self, slide: ProjectSlide, column: int) -> str | int | None:
        if column >= len(_HEADS):
            return slide.cell(self._own[column - len(_HEADS)])
        name, state = list(_HEADS)[column], self._states.get(slide.id)
        if name == "id":
            return slide.id
        if state is None:
            return ""
        found: dict[str, str | int | None] = {
            "state": ", ".join(state.words),
            "objects": state.objects or None,
            "cells": state.cells,
            "notes": len(state.notes) or None,
        }
        return found[name]

    def _picture(self, slide: ProjectSlide) -> QPixmap | None:
        if slide.id not in self._pictures:
            self._pictures[slide.id] = None
            self.wanted.emit(slide.id)
        return self._pictures[slide.id]

    def _tip(self, slide: ProjectSlide) -> str:
        state = self._states.get(slide.id)
        notes = "\n".join(state.notes) if state else ""
        return f"{slide.path}\n{notes}".strip()
