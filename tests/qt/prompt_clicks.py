"""Clicks on the Prompt dock's layer of points, and what is committed of them."""

from __future__ import annotations

from collections.abc import Callable

from histoprompt._qt.prompts.dock import PromptDock


def click(dock: PromptDock, row: float, col: float) -> None:
    """Say that an object lies there."""
    dock.annotator.prompts.points.add((row, col))


def commit_click(dock: PromptDock, until: Callable[..., None], row: float, col: float) -> int:
    """Click, wait for the mask, and commit it; the object's id."""
    click(dock, row, col)
    until(lambda: dock.annotator.preview.shown)
    (found,) = dock.annotator.commit()
    return found
