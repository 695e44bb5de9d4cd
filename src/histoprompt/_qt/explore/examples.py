"""Examples that a person gave, in the window: a list that can be taken back, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from psygnal import Signal

from histoprompt._qt.shell.undo import UndoStack
from histoprompt.pipelines.explore.examples import Example


@dataclass(frozen=True)
class SignedExample:
    """An example, and whether it is one of what is meant.

    Attributes
    ----------
    example : Example
    like : bool
    what : str
        Tile, box, object, cell or picture.
    """

    example: Example
    like: bool
    what: str


class GivenExamples:
    """The examples of one viewer.

    Attributes
    ----------
    all : tuple of SignedExample
    changed : Signal
    """

    changed = Signal()

    def __init__(self, steps: UndoStack) -> None:
        self._steps = steps
        self.all: tuple[SignedExample, ...] = ()

    def add(self, given: SignedExample) -> None:
        """Add an example."""
        sign = "like" if given.like else "unlike"
        self._change((*self.all, given), f"an example of {sign}")

    def remove(self, rows: list[int]) -> None:
        """Take examples out of the list."""
        kept = tuple(one for k, one in enumerate(self.all) if k not in rows)
        if kept != self.all:
            self._change(kept, "examples taken out")

    def side(self, like: bool) -> tuple[Example, ...]:
        """The examples of what is meant, or of what is not."""
        return tuple(one.example for one in self.all if one.like == like)

    def _change(self, after: tuple[SignedExample, ...], title: str) -> None:
        before = self.all
        self._steps.push(title, partial(self._set, before), partial(self._set, after), self)
        self._set(after)

    def _set(self, given: tuple[SignedExample, ...]) -> bool:
        self.all = given
        self.changed.emit()
        return True
