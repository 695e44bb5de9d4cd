"""napari's list of layers, without those that docks work with: there is little left to look at."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer, LayerLock
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QAbstractItemModel, Qt
from qtpy.QtWidgets import QListView

from histoprompt._qt.layers.make import NONE_GIVEN

# Kinds of layers that tools draw into and that marks are on: a dock chooses and fills them.
HELPERS = frozenset({"prompt", "preview", "marks", "area", "audit", "pointer"})


def is_helper(layer: Layer) -> bool:
    """Whether only docks work with a layer of ours."""
    return layer.metadata.get("histoprompt", NONE_GIVEN).get("kind") in HELPERS


class LayerList:
    """Leaves helper layers out of napari's list of layers, and guards them.

    What one does not see is not deleted by *Delete selected layers*: it is locked, and napari says
    so. The layers are where they were for everything else.

    Parameters
    ----------
    viewer : ViewerModel
        With or without a window.

    Attributes
    ----------
    switched : Signal(bool)
        Helper layers are listed from now on, or no longer.
    """

    switched = Signal(bool)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.shows_helpers = False
        for layer in viewer.layers:
            _guard(layer)
        viewer.layers.events.inserted.connect(self._on_inserted)
        window: Any = getattr(viewer, "window", None)
        self._view: QListView | None = None if window is None else window._qt_viewer.layers
        if self._view is not None:
            model = self._view.model()
            for signal in (model.rowsInserted, model.layoutChanged, model.modelReset):
                signal.connect(self._apply)
        self._apply()

    def show_helpers(self, on: bool) -> None:
        """List helper layers too, or no longer."""
        if on != self.shows_helpers:
            self.shows_helpers = on
            self._apply()
            self.switched.emit(on)

    def close(self) -> None:
        """Leave napari's list as it is."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        view, self._view = self._view, None
        if view is not None and isalive(view):
            model = view.model()
            for signal in (model.rowsInserted, model.layoutChanged, model.modelReset):
                signal.disconnect(self._apply)

    def _on_inserted(self, event: Any) -> None:
        _guard(event.value)

    def _apply(self, *_: object) -> None:
        view = self._view
        if view is None or not isalive(view):
            return
        model: QAbstractItemModel = view.model()
        for row in range(model.rowCount()):
            layer = model.index(row, 0).data(Qt.ItemDataRole.UserRole)
            hidden = isinstance(layer, Layer) and is_helper(layer) and not self.shows_helpers
            if view.isRowHidden(row) != hidden:
                view.setRowHidden(row, hidden)


def _guard(layer: Layer) -> None:
    if is_helper(layer):
        layer.locked = LayerLock.DELETION
