"""What the user is told, through napari's own notifications."""

from __future__ import annotations

from napari.utils import notifications

from histoprompt.core.errors import HistopromptError, Remedy

WAYS: dict[Remedy, str] = {
    Remedy.PIXEL_SIZE: "Type it into the row Pixel size of the Prompt dock.",
    Remedy.TRUST_SIZE: "If you know the file, open it and say that you trust its size.",
    Remedy.INSTALL: "Install them in the Models dock, or choose a file of your own.",
    Remedy.WEIGHTS_FILE: "Or choose a file of your own.",
    Remedy.ACCEPT_TERMS: "Do so when you install it in the Models dock.",
    Remedy.TRUST_ANEW: (
        "If you trust the new one, remove the weights in the Models dock, let it forget which file "
        "they were, and install them again."
    ),
    Remedy.TRUST_PROGRAM: "Trust it in the Models dock, or take another.",
    Remedy.MODELS: "The Models dock shows which there are.",
    Remedy.CHECK_UP: "Check this machine in the Models dock to see what is missing.",
    Remedy.REGION: "If there is some, draw a rectangle around it.",
    Remedy.DRAW_FIELDS: "Draw some on the page Audit first.",
    Remedy.SET_ASIDE: "Or press Export again and agree to set it aside.",
}


def told(error: HistopromptError) -> str:
    """An error in the words of the window."""
    return error.told(WAYS)


def show_info(text: str) -> None:
    """Tell of something that went well; GUI thread only."""
    notifications.show_info(text)


def show_warning(text: str) -> None:
    """Tell of something to look at; GUI thread only."""
    notifications.show_warning(text)


def show_error(text: str) -> None:
    """Tell of something that went wrong and what to do; GUI thread only."""
    notifications.show_error(text)
