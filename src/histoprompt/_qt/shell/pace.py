"""How long something that reports its progress will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

# So long nothing is foretold, seconds: the first step loads models and reads what others do not.
_PATIENCE_S = 5.0
_MINUTE = 60.0


class Pace:
    """Foretells the time left from how fast the work went so far.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def left(self, share: float) -> float | None:
        """Seconds left when this share, in [0, 1], is done; None where that cannot be told.

        What was done before the first call, as in a count that goes on, tells nothing of the speed.
        """
        now = self._clock()
        if self._first is None or share < self._first[1]:
            self._first = (now, share)
        start, before = self._first
        if share <= before or now - start < _PATIENCE_S:
            return None
        return (now - start) * (1.0 - share) / (share - before)


def spoken(seconds: float | None) -> str:
    """A time left as people say it; empty where it is not known."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"about {max(5, 5 * round(seconds / 5))} s left"
    if seconds < 60 * _MINUTE:
        return f"about {round(seconds / _MINUTE)} min left"
    hours, minutes = divmod(round(seconds / _MINUTE / 5) * 5, 60)
    return f"about {hours} h {minutes} min left"
