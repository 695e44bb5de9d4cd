"""Viewers that outlive a test have an application of their own, as those of single tests have."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import napari
from app_model import Application
from napari._app_model._app import NapariApplication, _napari_names
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_viewer import QtViewer
from napari.plugins import _initialize_plugins
from qtpy.QtWidgets import QApplication

from histoprompt._qt.shell.session import session_of

NAME = "kept_app"


@contextmanager
def kept_viewer(*, show: bool) -> Iterator[napari.Viewer]:
    """A viewer that is closed in the end, with its session, so that others can be made.

    Who asked for it lets go of it and of its docks first.
    """
    with _own_application():
        viewer = napari.Viewer(show=show)
        yield viewer
        session_of(viewer).close()
        viewer.close()
        QApplication.processEvents()
        del viewer
        gc.collect()
        QtViewer._instances.clear()


@contextmanager
def _own_application() -> Iterator[None]:
    """Register commands and plugins of a viewer where no other viewer has done so.

    napari's own fixture does the same for the viewers it makes, and has the next one register all
    anew, which one application takes only once.
    """
    made = NapariApplication(NAME)
    made.injection_store.namespace = _napari_names
    with patch.object(NapariApplication, "get_app_model", return_value=made):
        _forget()
        try:
            yield
        finally:
            Application.destroy(NAME)
            _forget()


def _forget() -> None:
    _initialize_plugins.cache_clear()
    init_qactions.cache_clear()
