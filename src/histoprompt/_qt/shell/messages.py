"""What the user is told, through napari's own notifications."""

from __future__ import annotations

from napari.utils import notifications


def show_info(text: str) -> None:
    """Tell of something that went well; GUI thread only."""
    notifications.show_info(text)


def show_warning(text: str) -> None:
    """Tell of something to look at; GUI thread only."""
    notifications.show_warning(text)


def show_error(text: str) -> None:
    """Tell of something that went wrong and what to do; GUI thread only."""
    notifications.show_error(text)
