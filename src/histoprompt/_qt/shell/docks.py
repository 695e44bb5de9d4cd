"""Docks of this plugin brought to the front, opened where they are not there yet."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar

from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QDockWidget, QWidget

PLUGIN = "napari-histoprompt"
Kind = TypeVar("Kind", bound=QWidget)


def open_dock(viewer: ViewerModel, name: str, area: str = "right") -> QWidget | None:
    """A dock in a viewer's window, in front of the others.

    Parameters
    ----------
    viewer : ViewerModel
    name : str
        Its name in the manifest; one that is there already is shown again, whoever opened it.
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
    kind = _maker_of(name)
    found = next((w for w in window.dock_widgets.values() if type(w) is kind), None)
    if found is None:
        found = kind(viewer)
        window.add_dock_widget(found, name=f"{name} ({PLUGIN})", area=area, tabify=area == "right")
    holder = holder_of(found, QDockWidget)
    if holder is not None:
        holder.show()
        holder.raise_()
    return found


def dock_modules() -> list[str]:
    """The modules that hold our docks, as the manifest names them."""
    manifest = PluginManifest.from_file(str(files("histoprompt") / "napari.yaml"))
    docks = {widget.command for widget in manifest.contributions.widgets or ()}
    names = [c.python_name for c in manifest.contributions.commands or () if c.id in docks]
    return [str(name).partition(":")[0] for name in names]


def holder_of(widget: QWidget, kind: type[Kind]) -> Kind | None:
    """The nearest of a kind that holds a widget, or None."""
    found = widget.parentWidget()
    while found is not None and not isinstance(found, kind):
        found = found.parentWidget()
    return found


def _maker_of(name: str) -> Callable[[ViewerModel], QWidget]:
    """The class of a dock, by its name in the manifest."""
    widgets = PluginManager.instance().iter_widgets()
    found = next(w for w in widgets if w.plugin_name == PLUGIN and w.display_name == name)
    maker: Callable[[ViewerModel], QWidget] = found.get_callable()
    return maker
