"""What a subject keeps for a whole viewer: the session makes it when it is first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from histoprompt.annotations.store import Change, LabelStore
from histoprompt.models.card import ModelCard

if TYPE_CHECKING:
    from histoprompt._qt.shell.session import Session


class Part(Protocol):
    """A part of a session, which the session knows by this alone."""

    @classmethod
    def of(cls, session: Session) -> Self:
        """The part for a session; asked once, at the first ``session.part(...)``."""

    @property
    def engaged(self) -> bool:
        """Whether a person would lose sight of work if another slide were turned to."""

    def close(self) -> None:
        """Let go of files and layers: the session ends."""


@runtime_checkable
class LabelKeeper(Protocol):
    """A part that keeps the committed objects of the session's slide."""

    def start(self) -> None:
        """Work on the session's slide, if that is not so already."""

    @property
    def store(self) -> LabelStore | None:
        """The committed objects; None where they cannot be used now."""

    @property
    def reason(self) -> str:
        """Why not, where that needs saying."""

    def show_edit(self, store: LabelStore, change: Change | None, text: str) -> None:
        """Show an edit that somebody else made of a store, as a step that can be taken back."""

    def weights_for(self, card: ModelCard) -> Path | None:
        """The person's own weights for a model that outlines, as they are in use."""
