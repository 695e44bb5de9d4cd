"""Errors written for the person who reads them.

Every message says what happened, gives the numbers, and says what to do. The command line prints
a `HistopromptError` as one line and exits with 1; a dock shows it as a notification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum


class Remedy(Enum):
    """What a person can do where a window and a terminal have each their own way to do it.

    The value says it in words that hold anywhere. A front end says it in its own, see
    `HistopromptError.told`; a message itself names no option, no command and no button.
    """

    PIXEL_SIZE = "Say what it is."
    TRUST_SIZE = "If you know the file, say that you trust its size."
    INSTALL = "Install them, or name a file of your own."
    WEIGHTS_FILE = "Or name a file of your own."
    ACCEPT_TERMS = "Do so when you install it."
    TRUST_ANEW = "If you trust the new one, forget the old one and install it again."
    TRUST_PROGRAM = "Trust it first, or take another."
    MODELS = "The list of models shows which there are."
    CHECK_UP = "The check-up of this machine tells what is missing."
    REGION = "If there is some, say where."
    DRAW_FIELDS = "Draw some first."
    SET_ASIDE = "Or have it set aside."


class HistopromptError(Exception):
    """Base of every error a user can meet and mend.

    Parameters
    ----------
    fact : str
        What happened, with the numbers, and what to do where that is the same everywhere.
    remedy : Remedy, optional
        What to do besides; that of the class if not given.
    about : str
        What the remedy is for, such as the id of a model.
    """

    remedy: Remedy | None = None

    def __init__(self, fact: str = "", *, remedy: Remedy | None = None, about: str = "") -> None:
        super().__init__(fact)
        self.about = about
        if remedy is not None:
            self.remedy = remedy

    @property
    def fact(self) -> str:
        """What happened, without the remedy."""
        return super().__str__()

    def told(self, ways: Mapping[Remedy, str]) -> str:
        """What happened, and what to do in the words of a front end.

        Parameters
        ----------
        ways : mapping of Remedy to str
            A sentence for each; ``{}`` stands for what the remedy is about.
        """
        if self.remedy is None:
            return self.fact
        return f"{self.fact} {ways[self.remedy].replace('{}', self.about)}"

    def __str__(self) -> str:
        return self.fact if self.remedy is None else f"{self.fact} {self.remedy.value}"


class SlideError(HistopromptError):
    """A slide cannot be read: damaged, of an unknown kind, or empty."""


class SlideTooLargeError(SlideError):
    """A slide asks for more memory than a file may that nobody has said to trust."""

    remedy = Remedy.TRUST_SIZE


class RegionError(HistopromptError):
    """A box, point or region does not lie on the slide."""


class PromptError(HistopromptError):
    """A prompt or a prompts file is malformed, or the model does not accept it."""


class RefusedTextError(PromptError):
    """A model cannot know some of the texts it is asked for.

    Attributes
    ----------
    texts : tuple of str
        Those that are refused, each by its name or as it was given.
    """

    def __init__(
        self,
        fact: str,
        texts: Sequence[str],
        *,
        remedy: Remedy | None = None,
        about: str = "",
    ) -> None:
        super().__init__(fact, remedy=remedy, about=about)
        self.texts = tuple(texts)


class MissingMppError(HistopromptError):
    """A step needs the physical pixel size, and the slide does not state one."""

    remedy = Remedy.PIXEL_SIZE


class WeightsError(HistopromptError):
    """Model weights are missing, have the wrong hash, or belong to another architecture."""


class LicenceError(WeightsError):
    """The terms of a model have not been accepted."""

    remedy = Remedy.ACCEPT_TERMS


class ModelError(HistopromptError):
    """A model is unknown or cannot do what is asked of it."""


class OutOfMemoryError(HistopromptError):
    """A model or a batch does not fit into the device's memory or into the budget."""


class ExportError(HistopromptError):
    """An export could not be written; nothing half-written is left behind."""


class InTheWayError(ExportError):
    """A folder holds what no export of this account wrote, and what is there is never replaced."""


class LabelError(HistopromptError):
    """Labels or their classes cannot be used: wrong size, wrong kind, damaged or empty."""


class LabelStoreError(HistopromptError):
    """The label store on disk cannot be opened or written."""


class ProjectError(HistopromptError):
    """A project or its table of slides cannot be used, or does not hold what is asked for."""


class StudyError(HistopromptError):
    """Features and patient data cannot be related as they are."""


class RecipeError(HistopromptError):
    """A recipe cannot be read or run as it is."""


class ParameterError(HistopromptError):
    """A parameter has a value that it may not have."""


class StoreInUseError(LabelStoreError):
    """Another window or program writes to the label store; it can be looked at.

    Attributes
    ----------
    who : str
        Which process, as far as it is known.
    """

    def __init__(self, message: str, who: str = "another program") -> None:
        super().__init__(message)
        self.who = who


class RecordError(HistopromptError):
    """A table of the user's decisions is damaged."""


class Cancelled(HistopromptError):  # noqa: N818 - a decision of the user, not a fault
    """The user cancelled the task."""

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message)
