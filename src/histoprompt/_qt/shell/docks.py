"""Docks of this plugin brought to the front, opened where they are not there yet."""

from __future__ import annotations

from typing import Any, TypeVar

from napari.components import ViewerModel
from qtpy.QtWidgets import QDockWidget, QWidget

PLUGIN = "napari-histoprompt"
Kind = TypeVar("Kind", bound=QWidget)


def open_dock(
    viewer: ViewerModel, title: str, kind: type[Kind], area: str = "right"
) -> Kind | None:
    """The dock of a kind in a viewer's window, in front of the others.

    Parameters
    ----------
    viewer : ViewerModel
    title : str
        Its name in the manifest.
    kind : type of QWidget
        Its class; one that is there already is shown again, whoever opened it.
    area : str
        Where a new one goes; beside the other docks on the right it becomes one of their tabs.

    Returns
    -------
    QWidget or None
        None in a viewer that has no window.
    """
    window: Any = getattr(viewer, "window", None)
    if window is None:
        return None
    found = next((w for w in window.dock_widgets.values() if isinstance(w, kind)), None)
    if found is None:
        found = kind(viewer)
        name = f"{title} ({PLUGIN})"
        window.add_dock_widget(found, name=name, area=area, tabify=area == "right")
    holder = found.parentWidget()
    while holder is not None and not isinstance(holder, QDockWidget):
        holder = holder.parentWidget()
    if holder is not None:
        holder.show()
        holder.raise_()
    return found
