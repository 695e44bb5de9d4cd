"""One stack of steps for a viewer: whatever dock made the last one, it is taken back first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from psygnal import Signal, SignalInstance

from histoprompt._qt.shell.messages import told
from histoprompt.core.errors import HistopromptError

LIMIT = 500

Act = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Step:
    """Something a person did.

    Attributes
    ----------
    title : str
        What it was, as a noun: "the click", "commit of object 7".
    undo, redo : callable
        Take it back, and do it again. False says that it cannot be done any more; an error of the
        plugin says why it cannot be done now, and the step stays.
    owner : object
        Whose it is: a slide's annotator, a count. Its steps go when it goes.
    place : int
        Where it stands among the steps of its owner that have a place; -1 for none.
    """

    title: str
    undo: Act
    redo: Act
    owner: object = field(default=None, repr=False)
    place: int = -1


@dataclass(frozen=True)
class UndoWords:
    """How walking a step is told: it was walked, it cannot be, there is none."""

    done: str
    lost: str
    nothing: str


_BACK = UndoWords(
    "Took back: {}.",
    "Not taken back: {}. Something else changed the same thing since.",
    "There is nothing to take back.",
)
_AGAIN = UndoWords(
    "Did again: {}.",
    "Not done again: {}. Something else changed the same thing since.",
    "There is nothing to do again.",
)


class Editing(Protocol):
    """Edits that are made in the background, which become steps when they have ended."""

    @property
    def editing(self) -> str:
        """What is being done; empty if nothing."""

    @property
    def edited(self) -> SignalInstance:
        """The last of them has ended, and is a step if it changed anything."""


class Earlier(Protocol):
    """Steps of earlier sessions, which are on disk only."""

    def undo_earlier(self) -> Step | None:
        """Take back the newest of them, and say what it was; None if there is none."""

    def redo_earlier(self) -> Step | None:
        """Do again what an earlier session took back; None if there is nothing."""


class UndoStack:
    """Steps in the order they were made. Docks push them; none of them undoes another's by guess.

    While an edit is being made in the background, undo and redo wait for its end: what comes last
    is not known before.

    Parameters
    ----------
    background : Editing, optional

    Attributes
    ----------
    told : Signal(str)
        What was taken back or done again, by title, or why not.
    failed : Signal(str)
        Why a step could not be walked now.
    passed : Signal(str)
        What was told last is of the past: something was done since.
    earlier : Earlier or None
        Where to go on when all steps of this session are taken back.
    """

    told = Signal(str)
    failed = Signal(str)
    passed = Signal(str)

    def __init__(self, background: Editing | None = None) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._asked: list[Act] = []
        self._background = background
        self._last = ""
        self.told.connect(self._on_told)
        if background is not None:
            background.edited.connect(self._on_edited)
        self.earlier: Earlier | None = None

    @property
    def titles(self) -> tuple[str, ...]:
        """What can be taken back, oldest first."""
        return tuple(step.title for step in self._done)

    def push(self, title: str, undo: Act, redo: Act, owner: object = None, place: int = -1) -> Step:
        """Keep a step that was just made; what had been taken back cannot be done again.

        With a `place` it comes before the steps of its owner that have a later one: an edit of the
        background may be told after one that was made meanwhile.
        """
        step = Step(title, undo, redo, owner, place)
        later = (n for n, s in enumerate(self._done) if s.owner is owner and s.place > place >= 0)
        self._done.insert(next(later, len(self._done)), step)
        del self._done[:-LIMIT]
        self._undone.clear()
        self._pass()
        return step

    def drop(self, step: Step) -> None:
        """Forget a step that came to nothing."""
        self._done = [s for s in self._done if s is not step]
        self._undone = [s for s in self._undone if s is not step]

    def forget(self, owner: object) -> None:
        """Forget the steps of somebody who goes; what they did stays done."""
        self._done = [s for s in self._done if s.owner is not owner]
        self._undone = [s for s in self._undone if s.owner is not owner]
        self._pass()

    def undo(self) -> None:
        """Take back the last step."""
        if self._waits("Undo", self.undo):
            return
        if self._done:
            self._walk(self._done, self._undone, _BACK, lambda step: step.undo)
        else:
            self._go_on("undo_earlier", self._undone, _BACK)

    def redo(self) -> None:
        """Do again what was taken back last."""
        if self._waits("Redo", self.redo):
            return
        if self._undone:
            self._walk(self._undone, self._done, _AGAIN, lambda step: step.redo)
        else:
            self._go_on("redo_earlier", self._done, _AGAIN)

    def _on_told(self, text: str) -> None:
        self._last = text

    def _pass(self) -> None:
        last, self._last = self._last, ""
        if last:
            self.passed.emit(last)

    def _waits(self, name: str, act: Act) -> bool:
        """Whether an edit is being made, so that this is done after it."""
        doing = "" if self._background is None else self._background.editing
        if doing:
            self._asked.append(act)
            self.told.emit(
                f"{name} waits for this to end: {doing}. Cancel that, and it is at once."
            )
        return bool(doing)

    def _on_edited(self) -> None:
        """Do what was asked for meanwhile."""
        asked, self._asked = self._asked, []
        for act in asked:
            act()

    def _walk(
        self, source: list[Step], target: list[Step], words: UndoWords, way: Callable[[Step], Act]
    ) -> None:
        step = source[-1]
        try:
            walked = way(step)() is not False
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        if source and source[-1] is step:
            source.pop()
        if walked:
            target.append(step)
            self.told.emit(words.done.format(step.title))
        else:
            self.told.emit(words.lost.format(step.title))

    def _go_on(self, way: str, target: list[Step], words: UndoWords) -> None:
        try:
            step = getattr(self.earlier, way)() if self.earlier is not None else None
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        if step is not None:
            target.append(step)
        self.told.emit(words.nothing if step is None else words.done.format(step.title))
