"""What the docks have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.shell.docks import PLUGIN, holder_of
from histoprompt._qt.shell.session import Session, session_of
from histoprompt._qt.widgets.recipe_menu import Made, RecipeMenu, Where, Words
from histoprompt.core.garbage import collector_at_rest


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


class TabbedWidget(QWidget):
    """Becomes a tab beside the docks of this plugin that are open already, when first shown.

    Attributes
    ----------
    placed : bool
        Whether it has found its place among the tabs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_placing, self.placed = False, False

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Become a tab beside the docks of this plugin that are there, when first shown."""
        super().showEvent(event)
        if not self._is_placing:
            self._is_placing = True
            # how wide rows are is known once they have napari's style: before the first picture
            for part in self.findChildren(QWidget):
                part.ensurePolished()
            self.updateGeometry()
            # napari is still placing the dock; it must be done before it is placed anew
            QTimer.singleShot(0, self._join_tabs)

    def _join_tabs(self) -> None:
        self.placed = True
        holder = holder_of(self, QDockWidget)
        if holder is None:
            return
        # napari adds the plugin's name, which leaves no room for ours where there are many tabs
        holder.setWindowTitle(holder.windowTitle().removesuffix(f" ({PLUGIN})"))
        holder.visibilityChanged.connect(self._on_visibility)
        window = holder_of(holder, QMainWindow)
        if window is None or holder.isFloating():
            return
        area = window.dockWidgetArea(holder)
        for other in window.findChildren(QDockWidget):
            ours = other is not holder and isinstance(other.widget(), TabbedWidget)
            if ours and window.dockWidgetArea(other) == area and not other.isFloating():
                if holder not in window.tabifiedDockWidgets(other):
                    window.tabifyDockWidget(other, holder)
                    holder.raise_()
                return

    def _on_visibility(self, visible: bool) -> None:
        """Qt hides nothing of a dock that lies behind another tab, but tells of it here."""
        for panel in self.findChildren(Panel):
            if not visible:
                panel.left.emit()
            elif panel.isVisibleTo(self):
                panel.entered.emit()


class Dock(TabbedWidget):
    """A dock that shares its viewer's session and lets it go when destroyed.

    A dock says what its rows are in `_build`, what they do in `_connect`, and shows how things are
    in `_start`. It fits any screen: `content` is scrolled where it is higher than the window, and
    the dock becomes a tab beside those of this plugin that are open already.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.

    Attributes
    ----------
    content : QWidget
        Holds the rows.
    foot : QVBoxLayout
        Below them, always in sight: for what the dock says, and how far its work is.
    page : Page
        Scrolls the content.
    recipe : RecipeMenu
        Of docks that offer one.
    """

    recipe: RecipeMenu

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.session = session_of(napari_viewer)
        self.viewer = self.session.viewer
        self._links = _Links(self.session)
        self.destroyed.connect(self._links.cut)
        self.content, self.foot = QWidget(), QVBoxLayout()
        with collector_at_rest():
            self._make()

    def _make(self) -> None:
        self._build()
        self.page = Page(self.content)
        self.page.setFrameShape(QFrame.Shape.NoFrame)
        self.foot.setContentsMargins(9, 0, 9, 6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.page, 1)
        layout.addLayout(self.foot)
        self._connect()
        self._start()

    def _build(self) -> None:
        raise NotImplementedError

    def _connect(self) -> None:
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError

    def offer_recipe(
        self, made: Made, say: Callable[[str], object], where: Where | None = None
    ) -> None:
        """Let what the rows say be saved as a recipe or copied as a command; for `_build`.

        Parameters
        ----------
        made : callable
            Gives the steps that the dock would do now; it may raise a `HistopromptError`.
        say : callable
            Shows what came of it.
        where : callable, optional
            On what a command works, where that is not the open slide.
        """
        self._offer(RecipeMenu(self.session, say, made, where=where))

    def offer_command(self, words: Words, say: Callable[[str], object]) -> None:
        """Let what the rows say be copied as a command that no recipe stands for; for `_build`.

        `words` gives its arguments, and may raise a `HistopromptError`.
        """
        self._offer(RecipeMenu(self.session, say, words=words))

    def _offer(self, menu: RecipeMenu) -> None:
        self.recipe = menu
        self.foot.addWidget(menu, 0, Qt.AlignmentFlag.AlignRight)

    def link(self, signal: Any, slot: Callable[..., object]) -> None:
        """Connect a slot to a signal that may outlive this dock."""
        self._links.add(signal, slot)


class Panel(QWidget):
    """Rows of a dock that may put the canvas into a mode.

    Attributes
    ----------
    left : Signal
        They went out of sight: another page or dock was chosen, or the dock was closed.
    entered : Signal
        They came into sight, for the first time or again.
    """

    left, entered = Signal(), Signal()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Tell of it, unless the whole window came back."""
        super().showEvent(event)
        if not event.spontaneous():
            self.entered.emit()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Tell of it, unless the whole window was put away for a while."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.left.emit()


def in_sight(widget: QWidget, dock: QWidget) -> bool:
    """Whether a person can see a part of a dock (in a window that is not shown: could, if it was).

    It may be scrolled out of view all the same.

    Parameters
    ----------
    widget : QWidget
        The part.
    dock : QWidget
        Which may itself lie behind another tab.
    """
    behind = dock.visibleRegion().isEmpty()
    return widget.isVisibleTo(dock) and not (behind and dock.window().isVisible())


class Page(QScrollArea):
    """A page of a dock: scrolled down where the dock is low, never cut at its side.

    Attributes
    ----------
    content : QWidget
        What it shows, below what may be missing for it.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__(widgetResizable=True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.content, self._missing = content, QLabel(wordWrap=True)
        self._missing.setVisible(False)
        self._missing.setMargin(9)
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._missing)
        column.addWidget(content, 1)
        self.setWidget(holder)
        holder.installEventFilter(self)

    def allow(self, missing: str = "") -> None:
        """Let a person use the page, or grey it and say above it what is missing."""
        self._missing.setText(missing)
        self._missing.setVisible(bool(missing))
        self.content.setEnabled(not missing)

    @property
    def missing(self) -> str:
        """What is said above the page of why it is grey; empty if it is not."""
        return str(self._missing.text())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Take more room when what is in it needs more: Qt asks a scroll area only once."""
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

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
