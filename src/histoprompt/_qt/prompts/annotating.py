"""The annotator of the slide that is worked on: made and let go as slides come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from histoprompt._qt.layers.removing import take_away
from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.prompts.hand import Unfinished
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import HistopromptError
from histoprompt.core.slides.slide import Slide
from histoprompt.models.card import ModelCard


class Annotating:
    """What the docks that work on labels share: ``session.part(Annotating)``.

    Attributes
    ----------
    annotator : Annotator or None
        Works on the session's slide; None where there is none, or its labels cannot be used.
    reason : str
        Why there is none, where that needs saying.
    changed : Signal
        There is another annotator, or none any more.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.annotator: Annotator | None = None
        self.reason = ""
        self._unfinished: dict[str, Unfinished] = {}
        self._changing = False
        session.slide.changed.connect(self._follow)
        session.slide.asked.connect(self._follow)
        session.slide.measured.connect(self._on_measured)
        session.viewer.layers.events.removed.connect(self._on_removed)
        # napari must be done with all that it removes at once before layers come and go anew.
        self._gone = QTimer(singleShot=True, interval=0)
        self._gone.timeout.connect(self._on_gone)

    @classmethod
    def of(cls, session: Session) -> Self:
        """The part for a session."""
        return cls(session)

    @property
    def engaged(self) -> bool:
        """Whether prompts are in hand."""
        return self.annotator is not None and not self.annotator.prompts.empty

    def start(self) -> None:
        """Work on the session's slide; a lone image is taken as one."""
        if not self._session.slide.take_lone():
            self._follow()

    def stop(self, reason: str) -> None:
        """Annotate no more until the image is chosen again."""
        self._turn_to(None, reason)

    @property
    def store(self) -> LabelStore | None:
        """The committed objects; None where they cannot be used now."""
        return None if self.annotator is None else self.annotator.store

    def show_edit(self, store: LabelStore, change: Change | None, text: str) -> None:
        """Show an edit that somebody else made of a store, as a step that can be taken back."""
        if self.annotator is not None and self.annotator.store is store:
            self.annotator.committed.show_change(change, text)

    def weights_for(self, card: ModelCard) -> Path | None:
        """The person's own weights for a model that outlines, as they are in use."""
        segmenting = None if self.annotator is None else self.annotator.segmenting
        return segmenting.weights if segmenting is not None and segmenting.card == card else None

    def take_unfinished(self) -> Unfinished | None:
        """What was in hand on the present slide when it was left; given once."""
        present = self.annotator
        return None if present is None else self._unfinished.pop(present.slide.key, None)

    def close(self) -> None:
        """Let the label store go."""
        self._gone.stop()
        self._session.viewer.layers.events.removed.disconnect(self._on_removed)
        annotator, self.annotator = self.annotator, None
        if annotator is not None:
            annotator.close()

    def _follow(self) -> None:
        present, image = self.annotator, self._session.slide.image
        if present is None or present.image is not image:
            self._turn_to(image, self._session.slide.reason)

    def _turn_to(self, image: Image | None, reason: str) -> None:
        if self._changing:
            return
        # Our own layers coming and going must not be taken for the user's doing.
        self._changing, self.reason = True, reason
        try:
            self._let_go()
            slide = self._session.slide.slide
            if image is not None and slide is not None:
                self.annotator = self._made(image, slide)
        finally:
            self._changing = False
        self._session.steps.earlier = self.annotator.earlier if self.annotator else None
        self.changed.emit()
        for note in [] if self.annotator is None else self.annotator.notes:
            self._session.failed.emit(note)

    def _made(self, image: Image, slide: Slide) -> Annotator | None:
        session = self._session
        try:
            return Annotator(
                session.viewer,
                image,
                slide,
                jobs=session.jobs,
                manager=session.manager,
                cache=session.cache,
                steps=session.steps,
            )
        except HistopromptError as error:
            self.reason = told(error)
            session.failed.emit(self.reason)
            return None

    def _let_go(self) -> None:
        """Close the annotator and take its layers away."""
        annotator, self.annotator = self.annotator, None
        if annotator is None:
            return
        kept = annotator.unfinished
        if kept is not None:
            self._unfinished[annotator.slide.key] = kept
        annotator.close()
        take_away(self._session.viewer, annotator.own_layers)

    def _on_measured(self) -> None:
        slide = self._session.slide.slide
        if self.annotator is not None and slide is not None:
            self.annotator.set_slide(slide)

    def _on_removed(self, event: Any) -> None:
        present = self.annotator
        if not self._changing and present is not None and _is_own(present, event.value):
            self._gone.start()

    def _on_gone(self) -> None:
        """Layers of ours that went away, together or alone, end the annotation.

        Committed objects are in the label store, and what is in hand is kept aside, so choosing the
        image again brings them back.
        """
        present, there = self.annotator, self._session.viewer.layers
        gone = [] if present is None else [own for own in present.own_layers if own not in there]
        if present is None or not gone:
            return
        kept = "Committed objects are safe"
        if present.unfinished is not None:
            kept += ", and so is what was in hand"
        names = ", ".join(layer.name for layer in gone)
        what = f"The layer {names} was" if len(gone) == 1 else f"The layers {names} were"
        self.stop(
            f"{what} removed, so annotation stopped. {kept}: choose the image above to go on."
        )


def _is_own(annotator: Annotator, layer: Layer) -> bool:
    return any(layer is own for own in annotator.own_layers)
