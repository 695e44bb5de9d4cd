"""Mouse gestures as napari delivers them: which keys are held, and what is a click."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import numpy as np

Modifier = Literal["Control", "Shift", "Alt"]

MODIFIERS: tuple[Modifier, ...] = ("Control", "Shift", "Alt")
# A hand moves the mouse a little between press and release; canvas pixels, as napari's own tools.
CLICK_PX = 5.0
_RIGHT = 2


def held(event: Any) -> frozenset[Modifier]:
    """The modifier keys held during a mouse event.

    napari hands on vispy's keys, which have no text of their own but are equal to their names.
    """
    return frozenset(name for name in MODIFIERS if name in event.modifiers)


def is_right(event: Any) -> bool:
    """Whether the right button was pressed."""
    return bool(event.button == _RIGHT)


def click(event: Any) -> Generator[None, None, bool]:
    """Follow a press to its release, for a drag callback; whether it was a click and no drag.

    Use it as ``if (yield from click(event)): ...``: the callback is told of every move.
    """
    start = np.array(event.pos, dtype=float)
    far = 0.0
    yield
    while event.type == "mouse_move":
        far = max(far, _distance(start, event.pos))
        yield
    return max(far, _distance(start, event.pos)) < CLICK_PX


def _distance(start: Any, pos: Any) -> float:
    return float(np.linalg.norm(np.asarray(pos, dtype=float)[:2] - start[:2]))
