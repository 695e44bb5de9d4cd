"""What was chosen in a window as a command: the same work from a terminal, ready to be pasted."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoprompt.core.errors import ParameterError
from histoprompt.core.parameters import ParameterField, fields_of
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.recipes.recipe import RecipeStep

PROGRAM = "histoprompt"
# Letters that no shell of Windows takes for anything but themselves.
_PLAIN = re.compile(r"[\w.:\\/=+@-]+")


@dataclass(frozen=True)
class CommandPlace:
    """On what a command works.

    Attributes
    ----------
    slide : str
        Path or address.
    mpp : float or None
        Where it was typed.
    trust_size : bool
    out : str
        The folder for results.
    """

    slide: str
    mpp: float | None = None
    trust_size: bool = False
    out: str = "results"

    @classmethod
    def of(cls, slide: Slide, *, trust_size: bool = False) -> CommandPlace:
        """That of a slide which is open.

        Raises
        ------
        ParameterError
            If it is no file: a command could not open it.
        """
        if slide.path is None:
            raise ParameterError(
                f"{slide.name} is no file on the disk, so no command can open it. Save it as a "
                "slide first."
            )
        typed = slide.mpp if slide.mpp_source == "typed" else None
        path = slide.path if "://" in slide.path else str(Path(slide.path).absolute())
        return cls(path, typed, trust_size)

    @property
    def options(self) -> list[str]:
        """How the slide is opened, as arguments."""
        sized = [] if self.mpp is None else option("mpp", f"{self.mpp:.12g}")
        return [*sized, *(option("trust-size") if self.trust_size else [])]


def option(name: str, *values: str) -> list[str]:
    """An option of a command and its values, by its name without dashes."""
    return [f"--{name}", *values]


def own_command(steps: Sequence[RecipeStep], place: CommandPlace) -> list[str] | None:
    """The command that does the one step there is; None where only a recipe can do it."""
    if len(steps) != 1:
        return None
    one = steps[0]
    words = one.step.command(one.params, place.slide, place.out)
    return None if words is None else [PROGRAM, *words, *place.options]


def recipe_command(recipe: Path, place: CommandPlace) -> list[str]:
    """The command that does what a recipe says."""
    return [PROGRAM, "run", str(recipe), place.slide, *option("out", place.out), *place.options]


def arguments(params: Any, skip: Container[str] = (), apart: Container[str] = ()) -> list[str]:
    """Parameters as arguments of a command: those that differ from what they are without.

    Parameters
    ----------
    params : dataclass instance
    skip : container of str
        Fields that the command is told in another way.
    apart : container of str
        Lists of which every value is an argument of its own.
    """
    words: list[str] = []
    for one in fields_of(type(params)):
        value = getattr(params, one.name)
        if one.name in skip or value == one.default:
            continue
        word = next((word for word, meant in one.about.words if meant == value), None)
        if word is not None:
            words += _told(one, word)
        elif one.kind is bool:
            name = one.option.removeprefix("--")
            words += option(name if value else f"no-{name}")
        elif one.name in apart:
            words += [word for v in value for word in _told(one, _text(v))]
        else:
            words += _told(one, ",".join(map(_text, value)) if one.many else _text(value))
    return words


def shell_line(words: Sequence[str], *, windows: bool = os.name == "nt") -> str:
    """Words as a line for the shell of a system: none of them is taken for anything else.

    Parameters
    ----------
    words : sequence of str
    windows : bool
        For its command prompt; else for a POSIX shell.
    """
    return " ".join(map(_quoted, words)) if windows else shlex.join(words)


def _told(one: ParameterField, text: str) -> list[str]:
    """An option with its value, in one word where the value looks like an option."""
    return [f"{one.option}={text}"] if text.startswith("-") or not text else [one.option, text]


def _text(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    # a quote is told by a backslash, before which backslashes are doubled
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return f'"{inner}{_ending(inner)}"'


def _ending(text: str) -> str:
    """Backslashes once more, so that the last one does not tell the quote behind it."""
    return "\\" * (len(text) - len(text.rstrip("\\")))
