"""What a dock says: texts that never widen it, how far the work is, and a way to stop it."""

from __future__ import annotations

import re

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from histoprompt._qt.shell.pace import Pace, spoken
from histoprompt._qt.widgets.base import row
from histoprompt.core.task import Progress

# Steps of the bar, whatever they are made of.
BAR = 1000
# A word longer than this is a path or a hash; a line may break within it.
_LONG = 18
_BREAK = "\u200b"
_NARROW = 60
_CANCELLING = "Cancelling ..."
_WORDS = re.compile(rf"(<[^>]*>)|([^\s<>]{{{_LONG},}})")


class NoteLabel(QLabel):
    """Text of any length that is wrapped, within long words too, and never widens the dock."""

    def __init__(self, text: str = "", **options: object) -> None:
        super().__init__(wordWrap=True, **options)
        self.setText(text)

    def setText(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Show this text."""
        self._text = text or ""
        super().setText(_WORDS.sub(_broken, self._text))

    def text(self) -> str:
        """The text as it was given."""
        return self._text

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the text, but not as wide as its longest word."""
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), _NARROW), hint.height())


def _broken(found: re.Match[str]) -> str:
    """A tag as it is; a long word with places where a line may break."""
    if found[1]:
        return found[1]
    pieces = re.findall(rf".{{1,{_LONG}}}?(?:[/\\_.,:;=-]|$)|.{{1,{_LONG}}}", found[2])
    return _BREAK.join(pieces)


class WorkStrip(QWidget):
    """One status line, and below it, while work goes on, a bar and Cancel.

    The one such strip of a dock shows whatever job the dock runs.

    Attributes
    ----------
    status : NoteLabel
    warning : NoteLabel
        What a person should know of the work that goes on.
    bar : QProgressBar
    cancel : QPushButton
    busy : QWidget
        Bar and button.
    cancelling : Signal
        Cancel was pressed; the button says so until the work ends.
    """

    cancelling = Signal()

    def __init__(self, hint: str = "", tip: str = "") -> None:
        super().__init__()
        self.status, self.bar = NoteLabel(hint), QProgressBar()
        self.warning = NoteLabel()
        self.warning.setVisible(False)
        self.cancel = QPushButton("Cancel", toolTip=tip)
        self.bar.setRange(0, BAR)
        self.busy = row(self.bar, self.cancel)
        self.busy.setVisible(False)
        self._pace, self._on, self._stopping = Pace(), False, False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.warning)
        layout.addWidget(self.status)
        layout.addWidget(self.busy)
        self.cancel.clicked.connect(self._on_cancel)

    def say(self, text: str) -> None:
        """Show a text; one that is news after a cancel makes Cancel serve what goes on now."""
        if self._stopping and text != _CANCELLING:
            self._stopping = False
            self.cancel.setEnabled(True)
            self.cancel.setText("Cancel")
        self.status.setText(text)

    def unsay(self, text: str, then: str) -> None:
        """Say something else, if this text is still shown: it is not true any more."""
        if self.status.text() == text:
            self.say(then)

    def set_busy(self, busy: bool) -> None:
        """Whether work goes on: bar and Cancel are there from its first moment to its last."""
        if busy and not self._on:
            self._pace = Pace()
            self.bar.setValue(0)
        if busy != self._on:
            self._stopping = False
            self.cancel.setEnabled(busy)
            self.cancel.setText("Cancel")
            self.warning.setText("")
            self.warning.setVisible(False)
        self._on = busy
        self.busy.setVisible(busy)

    def warn(self, text: str) -> None:
        """Show what is known of the work that goes on here, above its progress, until it ends."""
        if self._on and text not in self.warning.text():
            self.warning.setText("\n".join(filter(None, (self.warning.text(), text))))
            self.warning.setVisible(True)

    def show_share(self, progress: Progress) -> None:
        """Show how far work is, and leave the text as it is."""
        # A bar without an end is animated, which takes time from what it waits for.
        self.bar.setValue(round(BAR * progress.share))

    def show_progress(self, progress: Progress) -> None:
        """Say what is being done, how far it is and how long it will take."""
        if self._stopping:
            return
        self.show_share(progress)
        left = spoken(self._pace.left(progress.share))
        self.say(", ".join(filter(None, (progress.told, left))))

    def _on_cancel(self) -> None:
        self._stopping = True
        self.cancel.setEnabled(False)
        self.cancel.setText(_CANCELLING)
        self.say(_CANCELLING)
        self.cancelling.emit()
