"""What the docks have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QHBoxLayout, QScrollArea, QWidget

from histoprompt._qt.session import Session, session_of


class _Links:
    """Connections to signals that outlive a dock; cut when Qt destroys it.

    Kept apart from the widget, whose Python half must not be used once its C++ half is gone.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._links: list[tuple[Any, Callable[..., object]]] = []
        session.attach(self)

    def add(self, signal: Any, slot: Callable[..., object]) -> None:
        signal.connect(slot)
        self._links.append((signal, slot))

    def cut(self, *_: object) -> None:
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links.clear()
        self._session.release(self)


class Dock(QWidget):
    """A dock that shares its viewer's session and lets it go when destroyed.

    A dock says what its rows are in `_build`, what they do in `_connect`, and shows how things are
    in `_start`.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.session = session_of(napari_viewer)
        self.viewer = self.session.viewer
        self._links = _Links(self.session)
        self.destroyed.connect(self._links.cut)
        self._build()
        self._connect()
        self._start()

    def _build(self) -> None:
        raise NotImplementedError

    def _connect(self) -> None:
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError

    def link(self, signal: Any, slot: Callable[..., object]) -> None:
        """Connect a slot to a signal that may outlive this dock."""
        self._links.add(signal, slot)


class Page(QScrollArea):
    """A page of a dock: scrolled down where the dock is low, never cut at its side."""

    def __init__(self, content: QWidget) -> None:
        super().__init__(widgetResizable=True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as what is in it, with the bar to scroll by."""
        needed = self.widget().minimumSizeHint().width() + 2 * self.frameWidth()
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(needed + bar, super().minimumSizeHint().height())


def row(*widgets: QWidget) -> QWidget:
    """Widgets side by side, the first one taking the room."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    for i, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if i == 0 else 0)
    return holder
