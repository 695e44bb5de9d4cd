"""Boxes for numbers that take a decimal comma as they take a point, and nothing else by guess."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QLocale, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox

from histoprompt.core.strings.typed_numbers import parse_number


class NumberBox(QDoubleSpinBox):
    """A number that is typed with a point or a comma.

    Qt reads ``1,0`` as 10, since a comma groups digits where nobody chose a language.

    Parameters
    ----------
    typed : (float, float), optional
        What may be typed, if less than may be shown.
    **given
        As for `QDoubleSpinBox`.

    Attributes
    ----------
    refused : Signal(str)
        What was typed is not taken, and why; the box shows what it had before.
    """

    refused = Signal(str)
    _typed: tuple[float, float] | None = None  # Qt validates while the box is being made

    def __init__(self, typed: tuple[float, float] | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._typed = typed
        self.setKeyboardTracking(False)  # "2" on the way to "250" is no value yet
        plain_locale(self)

    def validate(self, text: str, at: int) -> tuple[QValidator.State, str, int]:
        """Whether a text may stand, or may become one that does."""
        if text == self.specialValueText() and text:
            return QValidator.State.Acceptable, text, at
        bare = self._bare(text)
        if any(c not in "0123456789.,+-eE" for c in bare):
            return QValidator.State.Invalid, text, at
        fine = not self._trouble(bare)
        return (QValidator.State.Acceptable if fine else QValidator.State.Intermediate), text, at

    def valueFromText(self, text: str) -> float:  # noqa: N802 - Qt's name
        """The number of a text that `validate` takes."""
        if text == self.specialValueText() and text:
            return self.minimum()
        bare = self._bare(text)
        return self.value() if self._trouble(bare) else parse_number(bare)

    def fixup(self, text: str) -> str:
        """Tell why what was typed is not taken, and show what was there before."""
        trouble = self._trouble(self._bare(text))
        if trouble and self._bare(text):
            self.refused.emit(trouble)
        return self.textFromValue(self.value())

    def _bare(self, text: str) -> str:
        return text.removeprefix(self.prefix()).removesuffix(self.suffix()).strip()

    def _trouble(self, bare: str) -> str:
        """Why a text is not taken; empty if it is."""
        try:
            value = parse_number(bare)
        except ValueError as error:
            return str(error)
        low, high = self._typed or (self.minimum(), self.maximum())
        if low <= value <= high or (value == self.minimum() and self.specialValueText()):
            return ""
        return f"{value:g} is not taken: {low:g} to {high:g} is possible"


class WholeBox(QSpinBox):
    """A whole number; ``1,5`` is not taken for 15. Takes what `QSpinBox` takes."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        plain_locale(self)


def plain_locale(box: QAbstractSpinBox) -> None:
    """Let a box group no digits, neither in what it shows nor in what it reads."""
    locale = QLocale(QLocale.Language.C)
    options = QLocale.NumberOption
    locale.setNumberOptions(options.OmitGroupSeparator | options.RejectGroupSeparator)
    box.setLocale(locale)
