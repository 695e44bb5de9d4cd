"""The field for the class of what is committed next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit

from histoprompt._qt.widgets.completing import WordCompleter
from histoprompt.core.labels.class_names import near_double


class ClassField(QLineEdit):
    """A class, completed from those there are; Enter ends typing.

    Parameters
    ----------
    leave : callable
        Gives the keyboard to the canvas, so that the next key is no letter of the name.

    Attributes
    ----------
    doubted : Signal(str)
        The name is nearly that of another class: says so.
    """

    doubted = Signal(str)

    def __init__(self, leave: Callable[[], object]) -> None:
        super().__init__(placeholderText="none")
        self.setAccessibleName("Class of the next objects")
        self._leave = leave
        self._offered = WordCompleter(self)
        self.returnPressed.connect(self._on_return)
        self.editingFinished.connect(self._on_finished)

    @property
    def known(self) -> list[str]:
        """The classes it completes."""
        return self._offered.words

    def offer(self, names: Sequence[str]) -> None:
        """Complete these."""
        self._offered.offer(names)

    def _on_return(self) -> None:
        self._leave()

    def _on_finished(self) -> None:
        name = self.text().strip()
        near = near_double(name, self.known)
        if near is not None:
            self.doubted.emit(
                f"There is a class {near!r} already; {name!r} is another one. "
                f"Type {near!r} if you mean the same."
            )
