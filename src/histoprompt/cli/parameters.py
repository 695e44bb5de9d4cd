"""Arguments of a command from the fields of its parameters, and back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any, TypeVar

from histoprompt.core.parameters import ParameterField, fields_of
from histoprompt.core.strings.typed_numbers import parse_number

P = TypeVar("P")


def add_parameters(
    parser: argparse._ActionsContainer, params: type, skip: Container[str] = ()
) -> None:
    """Add an argument for every field of a dataclass of parameters.

    Parameters
    ----------
    parser : ArgumentParser
    params : type
        The dataclass.
    skip : container of str
        Fields that the command fills in another way.
    """
    for one in _wanted(params, skip):
        if one.kind is bool:
            action = argparse.BooleanOptionalAction if one.default else "store_true"
            parser.add_argument(
                one.option, dest=_dest(one), action=action, default=one.default, help=_help(one)
            )
        else:
            parser.add_argument(
                one.option,
                dest=_dest(one),
                default=one.default,
                type=_reader(one),
                choices=None if one.many else (one.choices or None),
                metavar=None if one.choices else _metavar(one),
                help=_help(one),
            )


def read_parameters(
    params: type[P], args: argparse.Namespace, skip: Container[str] = (), **given: Any
) -> P:
    """The parameters that the arguments say.

    Parameters
    ----------
    params : type
        The dataclass.
    args : Namespace
        Of a parser that `add_parameters` was called on.
    skip : container of str
        As there.
    **given
        Fields filled in another way.

    Raises
    ------
    HistopromptError
        If a value cannot be.
    """
    return params(**{one.name: getattr(args, _dest(one)) for one in _wanted(params, skip)}, **given)


def _dest(one: ParameterField) -> str:
    """Where the argument's value is kept: two sets of parameters may have a field of one name."""
    return one.option.removeprefix("--").replace("-", "_")


def _wanted(params: type, skip: Container[str]) -> Iterator[ParameterField]:
    return (one for one in fields_of(params) if one.name not in skip)


def _reader(one: ParameterField) -> Callable[[str], Any]:
    words = dict(one.about.words)

    def read(text: str) -> Any:
        if text.strip() in words:
            return words[text.strip()]
        try:
            value = tuple(map(_one, text.split(","))) if one.many else _one(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {_SORTS[one.kind]}") from error
        fault = one.fault(value)
        if fault:
            raise argparse.ArgumentTypeError(fault)
        return value

    def _one(text: str) -> Any:
        # in a list commas stand between numbers, elsewhere one may be a decimal comma
        return parse_number(text) if one.kind is float and not one.many else one.kind(text.strip())

    return read


_SORTS: dict[type, str] = {int: "a whole number", float: "a number", str: "text", Path: "a path"}
_METAVARS: dict[type, str] = {int: "N", float: "X", str: "TEXT", Path: "FILE"}


def _metavar(one: ParameterField) -> str:
    sign = _METAVARS[one.kind]
    return "|".join((f"{sign},{sign}" if one.many else sign, *dict(one.about.words)))


def _help(one: ParameterField) -> str:
    about = one.about
    text = about.help or one.title
    if not text[:2].isupper():  # no abbreviation
        text = text[:1].lower() + text[1:]
    text = text.rstrip(".")
    if one.default is None or one.kind is bool or one.default in ((), ""):
        return _escaped(text)
    default = ",".join(map(str, one.default)) if one.many else str(one.default)
    if about.special and one.default == about.low:
        default += f", {about.special}"
    unit = f" {about.unit}" if about.unit and about.help else ""
    return _escaped(f"{text} (default: {default}{unit})")


def _escaped(text: str) -> str:
    """A per cent sign is a placeholder to argparse."""
    return text.replace("%", "%%")
