"""One description of a parameter for the form, the argument, the check and the saved file.

A use case has one frozen dataclass whose fields are annotated::

    tile_size: Annotated[int, Parameter("Tile side", unit="px", low=32, high=8192)] = 512

`fields_of` reads the annotations; `check` holds values against them, from ``__post_init__``;
`to_table` and `from_table` are what a TOML file holds. Docks make rows of the fields and commands
make arguments of them, so that no label and no limit is spelt twice.
"""

from __future__ import annotations

import inspect
import math
import sys
import types
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from histoprompt.core.errors import HistopromptError, ParameterError

P = TypeVar("P")
KINDS: tuple[type, ...] = (bool, int, float, str, Path)


@dataclass(frozen=True)
class Parameter:
    """What a person is told of a field, and what it may hold.

    Attributes
    ----------
    label : str
        Name of the row, sentence case, without the unit.
    help : str
        One sentence: the tooltip, and the help of the argument.
    low, high : float
        Limits of a number (or of each number of a tuple), both allowed.
    unit : str
        Such as ``"px"`` or ``"µm/px"``.
    choices : tuple of str
        Allowed words, where they come from a table; those of a ``Literal`` need no mention.
    special : str
        What the lowest value means where it is no number, such as ``"as the slide"``.
    offers : tuple of (str, value)
        What a form offers, with words for people, where a plain row would say too little.
    words : tuple of (str, value)
        Words that may be typed in place of a value, and what they stand for.
    advanced : bool
        Folded away at first.
    option : str
        The command line's name of it where it differs from the field's, without dashes.
    """

    label: str
    help: str = ""
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    choices: tuple[str, ...] = ()
    special: str = ""
    offers: tuple[tuple[str, Any], ...] = ()
    words: tuple[tuple[str, Any], ...] = ()
    advanced: bool = False
    option: str = ""


@dataclass(frozen=True)
class ParameterField:
    """A field of a dataclass of parameters.

    Attributes
    ----------
    name : str
        Of the field.
    kind : type
        bool, int, float, str or Path: of the value, or of each value of a tuple.
    default : object
    about : Parameter
    choices : tuple of str
        Allowed words; empty where any word is.
    many : bool
        Whether the value is a tuple.
    optional : bool
        Whether the value may be None.
    """

    name: str
    kind: type
    default: Any
    about: Parameter
    choices: tuple[str, ...] = ()
    many: bool = False
    optional: bool = False

    @property
    def option(self) -> str:
        """The command line's name, with dashes."""
        return "--" + (self.about.option or self.name).replace("_", "-")

    @property
    def title(self) -> str:
        """The label with its unit: ``"Tile side (px)"``."""
        return f"{self.about.label} ({self.about.unit})" if self.about.unit else self.about.label

    def fault(self, value: Any) -> str:
        """What is wrong with a value, as the end of "... is"; empty if nothing is."""
        if value is None and self.optional:
            return ""
        if self.many:
            if not isinstance(value, tuple):
                return f"{value!r}; it must be a list"
            return next((fault for v in value if (fault := self._fault_of_one(v))), "")
        return self._fault_of_one(value)

    def _fault_of_one(self, value: Any) -> str:
        allowed: tuple[type, ...] = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.kind is not bool):
            return f"{value!r}; it must be {_NAMES[self.kind]}"
        if self.choices and value not in self.choices:
            return f"{value!r}; it must be one of {', '.join(self.choices)}"
        if isinstance(value, (int, float)) and not self.about.low <= value <= self.about.high:
            return f"{value:g}; it must {limits(self.about)}"
        return ""


_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}


def limits(about: Parameter) -> str:
    """The limits in words: ``"lie between 0 and 1"``, ``"be at least 0"``."""
    if math.isinf(about.high):
        return f"be at least {about.low:g}" if math.isfinite(about.low) else "be finite"
    if math.isinf(about.low):
        return f"be at most {about.high:g}"
    return f"lie between {about.low:g} and {about.high:g}"


def fields_of(params: type) -> tuple[ParameterField, ...]:
    """The annotated fields of a dataclass, in their order; others are not parameters.

    Parameters
    ----------
    params : type
        A dataclass.

    Raises
    ------
    TypeError
        If a field's type is none that a form can show.
    """
    found = []
    for one in fields(params):
        hint = _hint(params, one.name)
        about = next((m for m in get_args(hint)[1:] if isinstance(m, Parameter)), None)
        if about is None:
            continue
        kind, choices, many, optional = _shape(get_args(hint)[0])
        default = one.default
        if default is MISSING:
            default = one.default_factory() if one.default_factory is not MISSING else None
        choices = about.choices or choices
        found.append(ParameterField(one.name, kind, default, about, choices, many, optional))
    return tuple(found)


def field_of(params: type, name: str) -> ParameterField:
    """The field of a name, which there must be."""
    return next(field for field in fields_of(params) if field.name == name)


def _hint(params: type, name: str) -> Any:
    """The annotation of a field; None of one that is no parameter, whose type may be unknown."""
    owner = next(k for k in params.__mro__ if name in inspect.get_annotations(k))
    written = inspect.get_annotations(owner)[name]
    if isinstance(written, str) and "Parameter" not in written and "Annotated" not in written:
        return None
    alone = type(owner.__name__, (), {"__annotations__": {name: written}})
    known = vars(sys.modules[owner.__module__])
    return typing.get_type_hints(alone, globalns=known, include_extras=True)[name]


def _shape(hint: Any) -> tuple[type, tuple[str, ...], bool, bool]:
    """The kind of a type hint, its words, whether it is a tuple, and whether it may be None."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [a for a in get_args(hint) if a is not type(None)]
        kind, choices, many, _ = _shape(rest[0])
        return kind, choices, many, True
    if get_origin(hint) is Literal:
        return str, get_args(hint), False, False
    if get_origin(hint) is tuple:
        kind, choices, _, _ = _shape(get_args(hint)[0])
        return kind, choices, True, False
    if hint not in KINDS:
        raise TypeError(f"{hint} is no type of a parameter.")
    return hint, (), False, False


def check(params: Any, error: type[HistopromptError] = ParameterError) -> None:
    """Hold all values against their types, words and limits.

    Parameters
    ----------
    params : dataclass instance
    error : type of HistopromptError
        What to raise.

    Raises
    ------
    HistopromptError
        Names the first row that cannot be, its value, and what it may be.
    """
    for one in fields_of(type(params)):
        fault = one.fault(getattr(params, one.name))
        if fault:
            raise error(f"{one.about.label} is {fault}.")


def given_file(params: Any, name: str, made: str) -> Path:
    """The file that a field of parameters names.

    Parameters
    ----------
    params : dataclass instance
    name : str
        Of the field.
    made : str
        How such a file comes about, such as "saved".

    Raises
    ------
    ParameterError
        If none is given.
    """
    value = getattr(params, name)
    if value is None:
        label = field_of(type(params), name).about.label
        raise ParameterError(f"{label}: no file is given; name one that was {made}.")
    return Path(value)


def to_table(params: Any) -> dict[str, Any]:
    """All parameters as a TOML file holds them; what is None is left out.

    Parameters
    ----------
    params : dataclass instance
    """
    table = {}
    for one in fields_of(type(params)):
        value = getattr(params, one.name)
        if value is not None:
            table[one.name] = [_plain(v) for v in value] if one.many else _plain(value)
    return table


def from_table(params: type[P], table: dict[str, Any]) -> P:
    """Parameters from a table as `to_table` gives it; what it leaves out has its default.

    Parameters
    ----------
    params : type
        The dataclass.
    table : dict

    Raises
    ------
    ParameterError
        If a name is unknown or a value cannot be.
    """
    known = {one.name: one for one in fields_of(params)}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ParameterError(
            f"{', '.join(unknown)} is unknown here; there are {', '.join(sorted(known))}."
        )
    return params(**{name: _typed(known[name], value) for name, value in table.items()})


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _typed(one: ParameterField, value: Any) -> Any:
    if one.many and isinstance(value, list):
        return tuple(_typed_one(one, v) for v in value)
    return _typed_one(one, value)


def _typed_one(one: ParameterField, value: Any) -> Any:
    if one.kind is Path and isinstance(value, str):
        return Path(value)
    if one.kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def is_params(kind: object) -> bool:
    """Whether something is a dataclass with annotated parameters."""
    return isinstance(kind, type) and is_dataclass(kind) and bool(fields_of(kind))
