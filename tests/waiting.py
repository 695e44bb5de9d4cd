"""Waiting for something to happen, however busy the machine is.

There is no deadline here: what never happens is ended by the global timeout of pytest, which says
where the test stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtWidgets import QApplication


def until(ready: Callable[[], bool]) -> None:
    """Serve the event loop until something is so."""
    while not ready():
        QApplication.processEvents()
        time.sleep(0.005)
