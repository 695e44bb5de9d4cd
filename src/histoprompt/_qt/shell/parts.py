"""What a subject keeps for a whole viewer: the session makes it when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

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
