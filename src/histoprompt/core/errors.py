"""Errors written for the person who reads them.

Every message says what happened, gives the numbers, and says what to do. The command line prints
a `HistopromptError` as one line and exits with 1; a dock shows it as a notification.
"""

from __future__ import annotations


class HistopromptError(Exception):
    """Base of every error a user can meet and mend."""


class SlideError(HistopromptError):
    """A slide cannot be read: damaged, of an unknown kind, or empty."""


class SlideTooLargeError(SlideError):
    """A slide asks for more memory than a file may that nobody has said to trust."""


class RegionError(HistopromptError):
    """A box, point or region does not lie on the slide."""


class PromptError(HistopromptError):
    """A prompt or a prompts file is malformed, or the model does not accept it."""


class MissingMppError(HistopromptError):
    """A step needs the physical pixel size, and the slide does not state one."""


class WeightsError(HistopromptError):
    """Model weights are missing, have the wrong hash, or belong to another architecture."""


class LicenceError(WeightsError):
    """The terms of a model have not been accepted."""


class ModelError(HistopromptError):
    """A model is unknown or cannot do what is asked of it."""


class OutOfMemoryError(HistopromptError):
    """A model or a batch does not fit into the device's memory or into the budget."""


class ExportError(HistopromptError):
    """An export could not be written; nothing half-written is left behind."""


class LabelError(HistopromptError):
    """Labels or their classes cannot be used: wrong size, wrong kind, damaged or empty."""


class LabelStoreError(HistopromptError):
    """The label store on disk cannot be opened or written."""


class ProjectError(HistopromptError):
    """A project or its table of slides cannot be used, or does not hold what is asked for."""


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
