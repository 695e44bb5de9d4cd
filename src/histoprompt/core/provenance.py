"""Where a result comes from: the one shape in which files, layers and keys say it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from histoprompt import __version__

PROGRAM = "histoprompt"


def _moment() -> datetime:
    """Now; a build that must come out the same sets the time, as reproducible-builds.org agrees."""
    try:
        return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


@dataclass(frozen=True)
class ModelUse:
    """A model with the weights it has now.

    Attributes
    ----------
    id : str
        Of its card.
    digest : str or None
        Of its weights, as ``"sha256:..."``; None for a model without.
    """

    id: str
    digest: str | None = None

    @property
    def fixed(self) -> str:
        """What decides its answers: its weights, or the program's version where it has none."""
        return self.digest or f"version:{__version__}"


@dataclass(frozen=True)
class Provenance:
    """By which program a result was made, of what, with which models and choices.

    Attributes
    ----------
    slide : str or None
        `Slide.key`.
    models : tuple of ModelUse
    parameters : mapping
        What else decided it, as JSON.
    time : str or None
        When, ISO 8601 in UTC; None where the same result is to be the same file.
    version : str
        Of the program.
    """

    slide: str | None = None
    models: tuple[ModelUse, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    time: str | None = None
    version: str = __version__

    def dated(self) -> Provenance:
        """The same, of this moment, or of the one that ``SOURCE_DATE_EPOCH`` names."""
        now = _moment().isoformat(timespec="seconds")
        return Provenance(self.slide, self.models, self.parameters, now, self.version)

    @property
    def facts(self) -> dict[str, Any]:
        """All of it as JSON, the parameters beside the rest; what is not known is left out."""
        known = {
            "slide": self.slide,
            "models": {model.id: model.digest for model in self.models},
            "time": self.time,
        }
        stated = {name: value for name, value in known.items() if value}
        return {"program": PROGRAM, "version": self.version, **stated, **self.parameters}
