"""The commands and their options, as the parsers say them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial

from histoprompt.cli import build_parser
from histoprompt.cli.lazy import CommandParser

WIDTH = 96


def commands() -> str:
    """A section for each command: what it does, how it is called, what each option means."""
    return "\n\n".join(_section(*item) for item in all_parsers(build_parser()))


def all_parsers(
    parser: argparse.ArgumentParser, name: str = "histoprompt", about: str = ""
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Every command: its full name, what it does, its parser.

    Parameters
    ----------
    parser : ArgumentParser
        The one of all commands, or of one.
    name, about : str
        How it is called, and its line in the help of the parser above.
    """
    if isinstance(parser, CommandParser):
        parser.fill()
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield name, about, parser
        return
    helps = {choice.dest: choice.help or "" for choice in groups[0]._choices_actions}
    for word, inner in groups[0].choices.items():
        yield from all_parsers(inner, f"{name} {word}", helps.get(word, ""))


def _section(name: str, about: str, parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)
    usage = "\n".join(line[len("usage: ") :] for line in parser.format_usage().splitlines())
    rows = [_row(parser, action) for action in shown(parser)]
    head = ["| argument | meaning |", "| --- | --- |"]
    table = "\n".join([*head, *rows]) if rows else "No arguments."
    about = about[:1].upper() + about[1:]
    return f"## {name}\n\n{about}.\n\n```text\n{usage}\n```\n\n{table}"


def shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments that people are told of: not `--help`, and no hidden ones."""
    return [a for a in parser._actions if a.dest != "help" and a.help != argparse.SUPPRESS]


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    takes = _takes(action)
    names = [f"`{option} {takes}`".replace(" `", "`") for option in action.option_strings]
    name = ", ".join(names) or f"`{takes}`"
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    facts = [text, *_facts(action, text)]
    meaning = "; ".join(fact for fact in facts if fact)
    return f"| {_cell(name)} | {_cell(meaning)} |"


def _takes(action: argparse.Action) -> str:
    """The word that stands for an argument's value; empty for a switch."""
    if action.nargs == 0:
        return ""
    if action.metavar:
        word = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    else:
        word = action.dest.upper() if action.option_strings else action.dest
    return f"{word} ..." if action.nargs == "+" else word


def _facts(action: argparse.Action, text: str) -> Iterator[str]:
    """What the help line does not say: choices, default, whether it has to be given."""
    if action.choices is not None:
        yield "one of " + ", ".join(f"`{choice}`" for choice in action.choices)
    if action.required and action.option_strings:
        yield "required"
    plain = action.default is None or isinstance(action.default, bool | list)
    if not plain and "default" not in text and action.default != argparse.SUPPRESS:
        yield f"default: {action.default}"


def _cell(text: str) -> str:
    """Text that stands in a table's cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
