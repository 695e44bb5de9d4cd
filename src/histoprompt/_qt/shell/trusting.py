"""Asking whether a file may take the memory it asks for, where the limits refuse it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QCoreApplication, Qt, QThread
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from histoprompt.core.errors import SlideTooLargeError


def trusts_size(path: Path | str, error: SlideTooLargeError, parent: QWidget | None = None) -> bool:
    """Whether the person says that the size a file claims is true.

    Nobody is asked where no window can be: without a Qt application, or in another thread.

    Parameters
    ----------
    path : Path or str
        The file, or its address.
    error : SlideTooLargeError
        What it asks for, and the limit.
    parent : QWidget, optional
        The window.
    """
    app = QCoreApplication.instance()
    if not isinstance(app, QApplication) or app.thread() is not QThread.currentThread():
        return False
    box = QMessageBox(parent)
    box.setWindowTitle("Trust the size of this file?")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(error.fact)
    box.setInformativeText(
        f"{path}\n\nOpened all the same, it may take all memory of this machine. Trust it only if "
        "you know where it is from."
    )
    buttons = QMessageBox.StandardButton
    box.setStandardButtons(buttons.Yes | buttons.Cancel)
    box.button(buttons.Yes).setText("Trust its size")
    box.setDefaultButton(buttons.Cancel)
    return bool(box.exec() == buttons.Yes)
