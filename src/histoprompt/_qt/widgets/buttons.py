"""Buttons of several docks, and how they are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeVar

from napari.utils.action_manager import action_manager
from qtpy.compat import isalive
from qtpy.QtWidgets import QAbstractButton, QCheckBox, QGridLayout, QPushButton, QWidget

from histoprompt._qt.shell.shortcuts import spelled

Name = TypeVar("Name")


def button_of(text: str, tip: str = "", checkable: bool = False) -> QPushButton:
    """A button that also tells those who cannot see it what it does.

    ``{act}`` in its texts stands for the keys of an act, also once the person chooses others.
    """
    button = QPushButton(checkable=checkable)
    _name(button, text, tip)
    return button


def box_of(text: str, tip: str = "") -> QCheckBox:
    """A box to tick, as `button_of`."""
    box = QCheckBox()
    _name(box, text, tip)
    return box


def browse_button(tip: str) -> QPushButton:
    """The button beside a row for a file or a folder."""
    button = QPushButton("...", toolTip=tip)
    button.setAccessibleName(tip)
    return button


def _name(button: QAbstractButton, text: str, tip: str) -> None:
    def write(_: object = None) -> None:
        if isalive(button):
            button.setText(spelled(text))
            button.setToolTip(spelled(tip))
            button.setAccessibleName(spelled(text))
            button.setAccessibleDescription(spelled(tip))

    write()
    if "{" in text + tip:
        changed = action_manager.events.shortcut_changed
        changed.connect(write)
        button.destroyed.connect(partial(changed.disconnect, write))


def grid_of(widgets: Iterable[QWidget]) -> QGridLayout:
    """Widgets in two columns, row by row."""
    grid = QGridLayout()
    for i, widget in enumerate(widgets):
        grid.addWidget(widget, i // 2, i % 2)
    return grid


def name_of(button: object, buttons: Mapping[Name, QPushButton]) -> Name:
    """Under which name a button is known."""
    return next(name for name, known in buttons.items() if known is button)
