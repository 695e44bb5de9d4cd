"""Asking before files that are there are replaced, or set aside."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QMessageBox, QWidget

from histoprompt.core.strings.wording import many


def may_write(parent: QWidget, folder: Path, *, whole: bool = False) -> bool:
    """Whether files may be written into a folder; asks where it holds some already.

    Parameters
    ----------
    parent : QWidget
    folder : Path
    whole : bool
        Whether all that is in it would be replaced, not only files of the same names.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return True  # not there, or not to be read: writing tells what is wrong
    if not names:
        return True
    replaced = "All of them are replaced" if whole else "Files of the same names are replaced"
    text = (
        f"{folder} holds {many(len(names), 'file')} already, such as {names[0]}. {replaced}. "
        "Write into it?"
    )
    answers = QMessageBox.StandardButton
    return QMessageBox.question(parent, "Replace files", text) == answers.Yes


def may_set_aside(parent: QWidget, folder: Path, why: str) -> bool:
    """Whether a folder that holds other things may get another name; asks, and says why.

    Parameters
    ----------
    parent : QWidget
    folder : Path
    why : str
        What is in the way.
    """
    text = (
        f"{why}\n\nRename this folder to {folder.name}-before and export into a new one? Nothing "
        "in it is changed or removed."
    )
    answers = QMessageBox.StandardButton
    return QMessageBox.question(parent, "Set aside", text) == answers.Yes
