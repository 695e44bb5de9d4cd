"""Buttons of several docks, and how they are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

Name = TypeVar("Name")


def button_of(text: str, tip: str, checkable: bool = False) -> QPushButton:
    """A button that also tells those who cannot see it what it does."""
    button = QPushButton(text, toolTip=tip, checkable=checkable)
    button.setAccessibleName(text)
    button.setAccessibleDescription(tip)
    return button


def grid_of(widgets: Iterable[QWidget]) -> QGridLayout:
    """Widgets in two columns, row by row."""
    grid = QGridLayout()
    for i, widget in enumerate(widgets):
        grid.addWidget(widget, i // 2, i % 2)
    return grid


def name_of(button: object, buttons: Mapping[Name, QPushButton]) -> Name:
    """Under which name a button is known."""
    return next(name for name, known in buttons.items() if known is button)
