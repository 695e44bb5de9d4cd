"""What the docks of one viewer share."""

from __future__ import annotations

import atexit
from typing import TypeVar
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from psygnal import Signal

from histoprompt._qt.shell.closing import ClosingGuard
from histoprompt._qt.shell.current_slide import CurrentSlide
from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt._qt.shell.keys import ANYWHERE
from histoprompt._qt.shell.layer_list import LayerList
from histoprompt._qt.shell.messages import show_error, show_warning
from histoprompt._qt.shell.modes import Modes
from histoprompt._qt.shell.parts import LabelKeeper, Part
from histoprompt._qt.shell.shortcuts import bind_keys, forget_keys
from histoprompt._qt.shell.undo import UndoStack
from histoprompt._qt.shell.warming import warm_soon
from histoprompt.core.task import Note
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager

AnyPart = TypeVar("AnyPart", bound=Part)


class Session:
    """Jobs, models, embeddings and the slide that is worked on, for the docks of one viewer.

    It knows no subject: what a subject keeps for the viewer is a `Part`, got by its class.

    Attributes
    ----------
    slide : CurrentSlide
        The slide that all docks work on.
    modes : Modes
        What clicks on the canvas do for a dock.
    listed : LayerList
        Which layers napari's list shows.
    steps : UndoStack
        Everything that can be taken back in this viewer.
    weights_changed : Signal
        Weights files came or went.
    failed : Signal(str)
        Something went wrong that the person should read.
    noted : Signal(str)
        What a running job found that the person should know before it ends.
    """

    weights_changed = Signal()
    failed, noted = Signal(str), Signal(str)

    def __init__(self, viewer: ViewerModel, manager: ModelManager) -> None:
        warm_soon()
        self.viewer = viewer
        self.manager = manager
        self.jobs = Jobs()
        self._closing = ClosingGuard(viewer, self.jobs)
        self.modes = Modes(viewer)
        self.listed = LayerList(viewer)
        self.cache = EmbeddingCache()
        self.steps = UndoStack(self.jobs)
        self.steps.failed.connect(self.failed.emit)
        walk = {"undo": self.steps.undo, "redo": self.steps.redo}
        bind_keys(viewer, ANYWHERE, walk.__getitem__)
        self._parts: dict[type[Part], Part] = {}
        self._users: set[object] = set()
        self._closed = False
        self.slide = CurrentSlide(viewer, lambda: self.engaged)
        self.slide.failed.connect(self.failed.emit)
        # Here and not in the docks, each of which would show it once more.
        self.failed.connect(show_error)
        self.noted.connect(show_warning)
        self.jobs.heard.connect(self._on_heard)

    def part(self, kind: type[AnyPart]) -> AnyPart:
        """What a subject keeps for this viewer, by its class; made when first asked for."""
        found = self._parts.get(kind)
        if not isinstance(found, kind):
            found = self._parts[kind] = kind.of(self)
        return found

    @property
    def labels(self) -> LabelKeeper | None:
        """Who keeps the committed objects; None where no dock has asked for them yet."""
        return next((part for part in self._parts.values() if isinstance(part, LabelKeeper)), None)

    @property
    def engaged(self) -> bool:
        """Whether a person would lose sight of something if another slide took this one's place."""
        return any(part.engaged for part in self._parts.values()) or bool(self.jobs.at_work)

    def _on_heard(self, _: Job, news: object) -> None:
        if isinstance(news, Note):
            self.noted.emit(news.text)

    def attach(self, user: object) -> None:
        """A dock uses this session."""
        self._users.add(user)

    def release(self, user: object) -> None:
        """A dock is gone; after the last one work stops and files are closed."""
        self._users.discard(user)
        if not self._users:
            self.close()

    def close(self) -> None:
        """Stop all work, once. Labels are on disk already."""
        if self._closed:
            return
        self._closed = True
        self._closing.stop()
        forget_keys(self.viewer)
        self.jobs.shutdown()
        self.modes.close()
        self.listed.close()
        self.slide.close()
        for part in self._parts.values():
            part.close()
        _SESSIONS.pop(self.viewer, None)


_SESSIONS: WeakKeyDictionary[ViewerModel, Session] = WeakKeyDictionary()


@atexit.register
def _close_all() -> None:
    """Close what nobody closed, before Qt deletes its own: a dock that goes then finds no timer."""
    for session in [*_SESSIONS.values()]:
        session.close()


def session_of(viewer: ViewerModel) -> Session:
    """The session of a viewer, made at the first call.

    Viewers share one model manager, since they share one device.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _SESSIONS:
        others = list(_SESSIONS.values())
        manager = others[0].manager if others else ModelManager()
        _SESSIONS[viewer] = Session(viewer, manager)
    return _SESSIONS[viewer]
