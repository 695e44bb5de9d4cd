"""Forms made from parameters by magicgui: a row a field, advanced rows folded."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from magicgui.widgets import create_widget
from psygnal import Signal as PlainSignal
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.number_box import NumberBox, WholeBox
from histoprompt.core.errors import HistopromptError, ParameterError
from histoprompt.core.parameters import ParameterField, fields_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")
# Spin boxes need limits: what stands for "no limit" in them.
_LOWEST, _HIGHEST = -1e9, 1e9
_DECIMALS = 4


class ParameterForm(QWidget, Generic[P]):
    """The rows of a dataclass of parameters.

    Parameters
    ----------
    params : dataclass instance
        What is shown first; fields without a row keep its values.
    skip : container of str
        Fields that the dock shows in another way.

    Attributes
    ----------
    changed : Signal
        A person changed a row.
    """

    changed = Signal()

    def __init__(self, params: P, skip: Container[str] = ()) -> None:
        super().__init__()
        self._params = params
        self._fields = {f.name: f for f in fields_of(type(params)) if f.name not in skip}
        self._rows: dict[str, Any] = {n: _row(f) for n, f in self._fields.items()}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        simple, advanced = QFormLayout(), QFormLayout()
        for name, field in self._fields.items():
            form = advanced if field.about.advanced else simple
            # a box to tick has its label beside it
            label = QLabel() if isinstance(self._rows[name].native, QCheckBox) else _label(field)
            form.addRow(label, self._rows[name].native)
        layout.addLayout(simple)
        if advanced.rowCount():
            layout.addWidget(_folded(advanced))
        self.set_value(params)
        for row in self._rows.values():
            row.changed.connect(self._on_changed)

    def value(self) -> P:
        """The parameters that the rows say.

        Raises
        ------
        HistopromptError
            If values that are allowed one by one do not go together.
        """
        rows = {name: _value(self._fields[name], row) for name, row in self._rows.items()}
        return replace(self._params, **rows)

    def asked(self, fail: Callable[[str], object]) -> P | None:
        """What the rows say; None, and `fail` was told why, if it cannot be."""
        try:
            return self.value()
        except HistopromptError as error:
            fail(str(error))
            return None

    def set_value(self, params: P) -> None:
        """Show these parameters, without telling of a change."""
        self._params = params
        for name, row in self._rows.items():
            with row.changed.blocked():
                row.value = _shown(self._fields[name], getattr(params, name))
            if isinstance(row.native, QLineEdit):
                row.native.setCursorPosition(0)  # the beginning of a long text is shown

    def row(self, name: str) -> QWidget:
        """The widget of a field, to enable or hide it."""
        return self._rows[name].native

    @property
    def fields(self) -> tuple[ParameterField, ...]:
        """Those that have a row."""
        return tuple(self._fields.values())

    def enable(self, names: Container[str], missing: str) -> None:
        """Let a person use the rows of these fields; `missing` says why not the others."""
        for name, row in self._rows.items():
            allow(row.native, "" if name in names else missing)

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()


class _PlainBox(NumberBox):
    """A number without the zeros at its end."""

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """The number as a person writes it."""
        text = f"{value:.{self.decimals()}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


class _OfferRow:
    """A list of what is offered, used as magicgui's widgets are; other values are added to it."""

    changed = PlainSignal(object)

    def __init__(self, field: ParameterField) -> None:
        self._field = field
        self._values: list[Any] = []
        self.native = QComboBox()
        for title, value in field.about.offers:
            self._add(title, value)
        self.native.currentIndexChanged.connect(self._on_index)

    @property
    def value(self) -> Any:
        """What is chosen."""
        return self._values[self.native.currentIndex()]

    @value.setter
    def value(self, value: Any) -> None:
        if value not in self._values:
            self._add(_listed(self._field, value) if self._field.many else str(value), value)
        self.native.setCurrentIndex(self._values.index(value))

    def _add(self, title: str, value: Any) -> None:
        self._values.append(value)
        self.native.addItem(title)

    def _on_index(self, _: int) -> None:
        self.changed.emit(self.value)


class _NumberRow:
    """A box for numbers of ours, which takes a decimal comma, as magicgui's widgets are used."""

    changed = PlainSignal(object)

    def __init__(self, field: ParameterField) -> None:
        about = field.about
        low, high = max(about.low, _LOWEST), min(about.high, _HIGHEST)
        self.native: QWidget
        if field.kind is int:
            box = WholeBox(minimum=int(low), maximum=int(high))
            box.setKeyboardTracking(False)
        else:
            box = _PlainBox(decimals=_decimals(low), minimum=low, maximum=high)
            box.setSingleStep(_step(field))
        box.setSpecialValueText(about.special)
        box.valueChanged.connect(self._on_value)
        self.native = self._box = box

    @property
    def value(self) -> Any:
        """What the box shows."""
        return self._box.value()

    @value.setter
    def value(self, value: float) -> None:
        self._box.setValue(value)

    def _on_value(self, value: float) -> None:
        self.changed.emit(value)


def _row(field: ParameterField) -> Any:
    widget: Any
    if field.about.offers:
        widget = _OfferRow(field)
    else:
        widget = _NumberRow(field) if _is_number(field) else _made_by_magicgui(field)
    widget.native.setToolTip(field.about.help)
    widget.native.setAccessibleName(field.title)
    return widget


def _decimals(low: float) -> int:
    """Digits after the point, enough for the lowest value."""
    return max(_DECIMALS, math.ceil(-math.log10(low))) if 0 < low < 1 else _DECIMALS


def _step(field: ParameterField) -> float:
    """What a press of an arrow changes: presses should be few, and none should leap over a row."""
    if field.about.high < 1:
        return field.about.high / 100
    return 0.05 if field.default <= 2 else 1.0


def _is_number(field: ParameterField) -> bool:
    return field.kind in (int, float) and not (field.many or field.optional or field.choices)


def _made_by_magicgui(field: ParameterField) -> Any:
    options: dict[str, Any] = {}
    kind: Any = field.kind
    if field.kind is Path and not field.many:
        options["nullable"] = field.optional
    elif field.many or (field.optional and not field.choices):
        kind = str
    elif field.choices:
        options["choices"] = list(field.choices)
        if field.optional:
            options["choices"] = [("", None), *((c, c) for c in field.choices)]
    return create_widget(name=field.name, annotation=kind, options=options, label=field.about.label)


def _label(field: ParameterField) -> QLabel:
    label = QLabel(field.title)
    label.setToolTip(field.about.help)
    return label


def _folded(form: QFormLayout) -> QCollapsible:
    holder, content = QCollapsible("Advanced"), QWidget()
    content.setLayout(form)
    holder.addWidget(content)
    return holder


def _shown(field: ParameterField, value: Any) -> Any:
    """A value as its row shows it."""
    if field.about.offers or _is_number(field):
        return value
    word = next((word for word, meant in field.about.words if meant == value), None)
    if word is not None:
        return word
    if field.many:
        return _listed(field, value)
    if _typed_as_text(field):
        return "" if value is None else str(value)
    return value


def _listed(field: ParameterField, values: Any) -> str:
    """Several values with commas between."""
    return ", ".join(f"{v:g}" if field.kind is float else str(v) for v in values)


def _value(field: ParameterField, row: Any) -> Any:
    """The value that a row shows."""
    shown: Any = row.value
    if field.about.offers:
        return shown
    words = dict(field.about.words)
    if str(shown).strip() in words:
        return words[str(shown).strip()]
    if field.many:
        return tuple(_typed(field, part) for part in str(shown).split(",") if part.strip())
    if _typed_as_text(field):
        return _typed(field, str(shown)) if str(shown).strip() else None
    return shown


def _typed(field: ParameterField, text: str) -> Any:
    """What a person typed, as the field wants it."""
    try:
        return field.kind(text.strip())
    except ValueError as error:
        raise ParameterError(f"{field.about.label} is {text.strip()!r}; that is no number.") from (
            error
        )


def _typed_as_text(field: ParameterField) -> bool:
    """Whether a value that may be None is typed: an empty row is None."""
    return field.optional and not field.choices and field.kind is not Path
