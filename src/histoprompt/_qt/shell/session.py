"""What the docks of one viewer share."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.layers import make as layers
from histoprompt._qt.layers.camera import show_whole
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.prompts.hand import Unfinished
from histoprompt._qt.shell.closing import Closing
from histoprompt._qt.shell.jobs import Jobs, warm_soon
from histoprompt._qt.shell.messages import show_error
from histoprompt._qt.shell.modes import Modes
from histoprompt._qt.shell.undo import UndoStack
from histoprompt.core.errors import HistopromptError
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager

EMBEDDING_BYTES = 1 << 30


class Session:
    """Jobs, models, embeddings and the slide being annotated, for the docks of one viewer.

    Attributes
    ----------
    annotator : Annotator or None
        Works on the chosen image; None until one is chosen.
    counting : Counting
        The count that is worked on.
    modes : Modes
        What clicks on the canvas do for a dock.
    steps : UndoStack
        Everything that can be taken back in this viewer.
    reason : str
        Why there is no annotator, where that needs saying.
    annotating : Signal
        Another image was chosen, or the chosen one went away.
    weights_changed : Signal
        Weights files came or went.
    failed : Signal(str)
        Something went wrong that the person should read.
    """

    annotating = Signal()
    weights_changed = Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, manager: ModelManager) -> None:
        warm_soon()
        self.viewer = viewer
        self.manager = manager
        self.jobs = Jobs()
        self._closing = Closing(viewer, self.jobs)
        self.modes = Modes(viewer)
        self.cache = EmbeddingCache(EMBEDDING_BYTES)
        self.annotator: Annotator | None = None
        self.steps = UndoStack()
        self.steps.failed.connect(self.failed.emit)
        self.counting = Counting(self.jobs, manager, self.steps)
        self.reason = ""
        self._unfinished: dict[str, Unfinished] = {}
        self._changing = False
        self._users: set[object] = set()
        # Here and not in the docks, each of which would show it once more.
        self.failed.connect(show_error)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def annotate(self, image: Image | None, reason: str = "") -> None:
        """Work on this image layer from now on; None lets the present one go.

        `reason` is what the docks say when there is no image any more.
        """
        present = self.annotator
        if self._changing or (present is not None and present.image is image):
            return
        # Our own layers coming and going must not be taken for the user's doing.
        self._changing = True
        try:
            self._let_go(present)
            self.annotator = None if image is None else self._annotator(image)
        finally:
            self._changing = False
        if image is not None and self.annotator is not None:
            layers.show_alone(self.viewer, image)
            show_whole(self.viewer, image, self.annotator.slide.box)
        self.steps.earlier = self.annotator
        self.reason = reason
        self.annotating.emit()
        for note in [] if self.annotator is None else self.annotator.notes:
            self.failed.emit(note)

    @property
    def engaged(self) -> bool:
        """Whether a person would lose sight of something if another slide took this one's place."""
        present = self.annotator
        prompted = present is not None and not present.prompts.empty
        return prompted or self.counting.work is not None or bool(self.jobs.at_work)

    def take_unfinished(self) -> Unfinished | None:
        """What was in hand on the present slide when it was left; given once."""
        present = self.annotator
        return None if present is None else self._unfinished.pop(present.slide.key, None)

    def attach(self, user: object) -> None:
        """A dock uses this session."""
        self._users.add(user)

    def release(self, user: object) -> None:
        """A dock is gone; after the last one work stops and files are closed."""
        self._users.discard(user)
        if not self._users:
            self.close()

    def close(self) -> None:
        """Stop all work. Labels are on disk already."""
        self._closing.stop()
        self.jobs.shutdown()
        self.modes.close()
        if self.annotator is not None:
            self.annotator.close()
            self.annotator = None
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        _SESSIONS.pop(self.viewer, None)

    def _annotator(self, image: Image) -> Annotator | None:
        try:
            slide = layers.slide_of(image)
            return Annotator(
                self.viewer,
                image,
                slide,
                jobs=self.jobs,
                manager=self.manager,
                cache=self.cache,
                steps=self.steps,
            )
        except HistopromptError as error:
            self.failed.emit(str(error))
            return None

    def _let_go(self, annotator: Annotator | None) -> None:
        """Close an annotator and take its layers away."""
        if annotator is None:
            return
        kept = annotator.unfinished
        if kept is not None:
            self._unfinished[annotator.slide.key] = kept
        annotator.close()
        for layer in annotator.own_layers:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def _on_inserted(self, event: Any) -> None:
        """Turn to a slide that was opened beside another; all slides lie at the same place.

        Where there is work in hand the docks stay with it, and the new slide waits, hidden, to be
        chosen.
        """
        present, new = self.annotator, event.value
        if present is None or self._changing or not layers.is_slide(new):
            return
        if self.engaged:
            new.visible = False
            self.failed.emit(
                f"{new.name} is open and hidden, as there is work on {present.image.name}: choose "
                "it in the row Image to turn to it."
            )
        else:
            self.annotate(new)

    def _on_removed(self, event: Any) -> None:
        """The image going away ends the annotation; a layer of ours going away ends it too.

        Committed objects are in the label store, so choosing the image again brings them back.
        """
        present, gone = self.annotator, event.value
        if self._changing or present is None or not _concerns(present, gone):
            return
        self.annotate(
            None,
            f"The layer {gone.name} was removed, so annotation stopped. Committed objects are "
            "safe: choose the image above to go on.",
        )


def _concerns(annotator: Annotator, layer: Layer) -> bool:
    return layer is annotator.image or any(layer is own for own in annotator.own_layers)


_SESSIONS: WeakKeyDictionary[ViewerModel, Session] = WeakKeyDictionary()


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
