"""Every field of every parameters is an argument of a command, with the limits of the field."""

from __future__ import annotations

import argparse
import importlib
import pkgutil

import pytest

import histoprompt.pipelines
from histoprompt import cli
from histoprompt.cli.lazy import CommandParser
from histoprompt.core.parameters import ParameterField, fields_of, from_table, is_params, to_table


def all_params() -> list[type]:
    """Every dataclass of parameters below `pipelines`."""
    found = {}
    for info in pkgutil.walk_packages(
        histoprompt.pipelines.__path__, f"{histoprompt.pipelines.__name__}."
    ):
        module = importlib.import_module(info.name)
        for item in vars(module).values():
            if is_params(item) and item.__module__ == module.__name__:
                found[item.__qualname__] = item
    return list(found.values())


PARAMS = all_params()


def all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a parser and of all commands below it."""
    if isinstance(parser, CommandParser):
        parser.fill()
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found += all_actions(below)
    return found


ACTIONS: dict[str, list[argparse.Action]] = {}
for one in all_actions(cli.build_parser()):
    for option in one.option_strings:
        ACTIONS.setdefault(option, []).append(one)


def test_there_are_parameters():
    assert {"ExportParams", "ScoreParams", "CellTexts", "TrainParams"} <= {
        p.__name__ for p in PARAMS
    }


@pytest.mark.parametrize("params", PARAMS, ids=lambda p: p.__name__)
def test_defaults_may_be_and_survive_a_table(params):
    assert from_table(params, to_table(params())) == params()


FIELDS = [(p, f) for p in PARAMS for f in fields_of(p)]


# Parameters without arguments, and why.
WITHOUT_OPTIONS = {
    "ReshapeParams": "a person sees what becomes of an object that was chosen",
    "WandParams": "a person clicks a place in sight",
}
ARGUMENTS = [(p, f) for p, f in FIELDS if p.__name__ not in WITHOUT_OPTIONS]


@pytest.mark.parametrize(("params", "field"), ARGUMENTS, ids=lambda x: getattr(x, "name", ""))
def test_every_field_is_an_argument_with_its_limits(params, field):
    if field.choices:
        assert field.choices in [tuple(action.choices or ()) for action in ACTIONS[field.option]]
        return
    assert all(has_limits(action, field) for action in ACTIONS[field.option])


def has_limits(action: argparse.Action, field: ParameterField) -> bool:
    """Whether an argument takes the limits of a field, and nothing beyond them."""
    for limit, beyond in ((field.about.low, -1), (field.about.high, 1)):
        if abs(limit) == float("inf"):
            continue
        try:
            inside = action.type(f"{limit:g}")
        except (argparse.ArgumentTypeError, TypeError, ValueError):  # another command's argument
            return False
        if inside != ((limit,) if field.many else limit):
            return False
        try:
            action.type(f"{limit + beyond:g}")
        except argparse.ArgumentTypeError:
            continue
        return False
    return True


@pytest.mark.parametrize(("params", "field"), FIELDS, ids=lambda x: getattr(x, "name", ""))
def test_every_field_says_what_it_is(params, field):
    assert field.about.label
    assert field.about.label[0].isupper()
    assert not field.about.label.endswith(".")
    assert not field.about.help or field.about.help.endswith(".")
