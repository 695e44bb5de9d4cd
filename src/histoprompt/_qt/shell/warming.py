"""Imports ahead of their need, in the background, so that no dock's first opening freezes."""

from __future__ import annotations

import importlib
import sys
import threading
from functools import cache, partial

from qtpy.QtCore import QCoreApplication, QTimer

from histoprompt._qt.shell.docks import dock_modules
from histoprompt._qt.shell.outcome import attempt

# Longest time a thread may keep the interpreter to itself while the GUI thread wants it, seconds.
# Drawing lets go of it at every OpenGL call, so the default of 5 ms, waited for some twenty times a
# frame, freezes the window for 100 ms beside a job in pure Python.
SWITCH_S = 0.001

_PACKAGES = (
    "scipy.ndimage",
    "zarr",
    "shapely",
    "skimage.measure",
    "skimage.segmentation",
    "safetensors",
    "pandas",
    "pyarrow.parquet",
    "huggingface_hub.file_download",
    "magicgui.backends._qtpy.widgets",
)


@cache
def warm() -> threading.Thread:
    """Import what the docks need, in the background, so that the first opening does not freeze.

    Only the first call does anything. Packages come before the docks that import them, and torch
    is left to the first model: it takes memory that a person who only looks at a slide does not
    owe.
    """
    thread = threading.Thread(target=_import_all, name="histoprompt-warm")
    thread.start()
    return thread


def warm_soon() -> None:
    """Call `warm` once what the GUI thread is doing now is done, not to compete with it."""
    if QCoreApplication.instance() is not None:
        QTimer.singleShot(0, warm)


def share_interpreter() -> None:
    """Let the GUI thread have the interpreter soon while another thread computes."""
    sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))


def _import_all() -> None:
    share_interpreter()
    for name in (*_PACKAGES, *dock_modules()):
        # a program that ends waits for this thread, but not for what is still to come
        if not threading.main_thread().is_alive():
            return
        attempt(f"Importing {name}", partial(importlib.import_module, name))
