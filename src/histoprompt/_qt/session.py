"""What the docks of one viewer share."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from histoprompt._qt import layers
from histoprompt._qt.annotator import Annotator
from histoprompt._qt.counting import Counting
from histoprompt._qt.jobs import Jobs
from histoprompt.core.errors import HistopromptError
from histoprompt.models.embeddings import EmbeddingCache
from histoprompt.models.manager import ModelManager

EMBEDDING_BYTES = 1 << 30


class Session:
    """Jobs, models, embeddings and the slide being annotated, for the docks of one viewer.

    Attributes
    ----------
    annotator : Annotator or None
        Works on the chosen image; None until one is chosen.
    counting : Counting
        The count that is worked on.
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
        self.viewer = viewer
        self.manager = manager
        self.jobs = Jobs()
        self.cache = EmbeddingCache(EMBEDDING_BYTES)
        self.annotator: Annotator | None = None
        self.counting = Counting(self.jobs, manager)
        self.reason = ""
        self._changing = False
        self._users: set[object] = set()
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
        self.reason = reason
        self.annotating.emit()
        for note in [] if self.annotator is None else self.annotator.notes:
            self.failed.emit(note)

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
        self.jobs.shutdown()
        if self.annotator is not None:
            self.annotator.close()
            self.annotator = None
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
            )
        except HistopromptError as error:
            self.failed.emit(str(error))
            return None

    def _let_go(self, annotator: Annotator | None) -> None:
        """Close an annotator and take its layers away."""
        if annotator is None:
            return
        annotator.close()
        for layer in annotator.own_layers:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

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
