"""Messages carry facts: the command line adds options and commands, the window buttons."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import histoprompt
from histoprompt._qt.shell import messages
from histoprompt.cli import build_parser, remedies
from histoprompt.cli.ending import fault_of
from histoprompt.core.errors import HistopromptError, MissingMppError, Remedy
from histoprompt.core.geometry import Box
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import devices, registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.weights import trust
from histoprompt.models.weights.find import missing_error
from histoprompt.models.zoo import vocabulary
from histoprompt.pipelines.cells.find import tiles_of
from histoprompt.pipelines.count.audit_table import draw_more
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import plan_tiles
from histoprompt.pipelines.regions.cell_texts import CellTexts, score_cells

SOURCE = Path(histoprompt.__file__).parent
OF_A_TERMINAL = re.compile(r"(?<![\w-])--[a-z]|[`>]histoprompt [a-z]|histoprompt \w+ --")
# What the program hands to other programs; the one module of the window that is a command, and the
# one that writes scripts of commands.
COMMANDS = ("--query-gpu=", "--format=csv")
OF_THE_COMMAND_LINE = ("cli", "_qt/demo.py", "pipelines/recipes/emit.py")


def texts_of(path: Path) -> list[str]:
    """Every text of a module that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in silent]
    return [n.value for n in found if isinstance(n.value, str)]


def modules() -> list[Path]:
    paths = sorted(SOURCE.rglob("*.py"))
    return [p for p in paths if not str(p.relative_to(SOURCE)).startswith(OF_THE_COMMAND_LINE)]


def test_no_text_beside_the_command_line_names_an_option_or_a_command():
    found = {
        f"{path.relative_to(SOURCE)}: {text}"
        for path in modules()
        for text in texts_of(path)
        if OF_A_TERMINAL.search(text) and not text.startswith(COMMANDS)
    }
    assert found == set()
    # the sweep sees what it is for
    assert OF_A_TERMINAL.search("or give --mpp 0.25")
    assert OF_A_TERMINAL.search("see `histoprompt doctor`")
    assert any(OF_A_TERMINAL.search(t) for t in texts_of(SOURCE / "cli" / "remedies.py"))


THINGS = re.compile(
    r"^ (?:(?:more|new|further|drawn|audited) )?(?:objects?|cells?|tiles?|regions?|nuclei|fields|"
    r"slides?|patients?|files|labels|marks|prompts|examples|images|hits|places)\b"
)
NUMBER = re.compile(
    r"len\(.*\)|(.*\.)?(count|total|tiles|objects|labels|cells|fields|done|resumed|outside|patients)"
)


def bare_numbers(tree: ast.AST) -> list[str]:
    """How many of what, in a text, without commas between thousands: 1200 cells."""
    pairs = [
        pair
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for pair in zip(node.values, node.values[1:], strict=False)
    ]
    return [
        f"{{{ast.unparse(number.value)}}}{text.value}"
        for number, text in pairs
        if isinstance(number, ast.FormattedValue)
        and number.format_spec is None
        and isinstance(text, ast.Constant)
        and THINGS.match(str(text.value))
        and NUMBER.fullmatch(ast.unparse(number.value))
    ]


def test_numbers_of_things_have_commas_between_thousands():
    paths = sorted(SOURCE.rglob("*.py"))
    found = {p.name: bare_numbers(ast.parse(p.read_text(encoding="utf-8"))) for p in paths}
    assert {name: texts for name, texts in found.items() if texts} == {}
    bare = ast.parse('f"{len(cells)} cells and {found.count} new objects"')
    assert len(bare_numbers(bare)) == 2
    assert bare_numbers(ast.parse('f"{len(cells):,} cells in {path} files"')) == []


def blank() -> Slide:
    return Slide.from_arrays("blank", [np.full((64, 64, 3), 255, np.uint8)])


def unknown_size() -> Slide:
    rng = np.random.default_rng(0)
    return Slide.from_arrays("x", [rng.integers(0, 255, (64, 64, 3), np.uint8)])


def text_job() -> ScoreJob:
    return ScoreJob(ModelManager("cpu"), registry.card("vocabulary"))


def cells_by_words() -> object:
    from cells_of_classes import clusters

    texts = CellTexts(("tumour", "stroma"))
    return score_cells(unknown_size(), clusters({"a": 2, "b": 2})[0], texts, text_job(), Task())


def missing_weights() -> None:
    card = registry.card("mobile-sam")
    raise missing_error(card, card.files[0])


def untrusted() -> None:
    raise trust.UntrustedProgramError(registry.card("instanseg"), Path("instanseg.pt"))


RAISED = {
    "cells without a pixel size": lambda: tiles_of(unknown_size(), Box(0, 0, 9, 9)),
    "tiles without a pixel size": lambda: plan_tiles(unknown_size(), registry.card("vocabulary")),
    "a side": lambda: Limits().check_sides("x.tif", 2**30, 9),
    "a piece": lambda: Limits().check_piece("x.tif", "a tile of 9 x 9 pixels", 2**40),
    "no tissue": lambda: count_region(blank()),
    "no cells": lambda: count_job(CountChoice(segmenter="vocabulary"), ModelManager("cpu")),
    "no texts": lambda: ScoreJob(ModelManager("cpu"), registry.card("classical")),
    "a device": lambda: devices.choose_device("cuda:99"),
    "a word": lambda: vocabulary.word_in("quark"),
    "no weights": missing_weights,
    "a program": untrusted,
    "no fields": lambda: draw_more(Path("nowhere"), 3),
    "cells by words": cells_by_words,
}


@pytest.mark.parametrize("raising", RAISED.values(), ids=RAISED)
def test_the_window_says_it_in_its_words_and_the_terminal_in_its_own(raising):
    with pytest.raises(HistopromptError) as caught:
        raising()
    error = caught.value
    assert error.remedy is not None
    shown, printed = messages.told(error), remedies.told(error)
    for text in (shown, str(error)):
        assert not OF_A_TERMINAL.search(text), text
        assert error.fact in text
        assert "{}" not in text
    assert OF_A_TERMINAL.search(printed), printed
    assert fault_of(raising, Task()) == printed


@pytest.mark.parametrize("remedy", Remedy)
def test_every_remedy_has_its_words_everywhere(remedy):
    window = messages.WAYS[remedy]
    assert window.endswith(".")
    assert not OF_A_TERMINAL.search(window)
    assert not OF_A_TERMINAL.search(remedy.value)
    assert OF_A_TERMINAL.search(remedies.way(remedy, "x"))


def test_options_and_commands_that_are_named_are_there(capsys):
    helps = {}

    def help_of(*command: str) -> str:
        if command not in helps:
            with pytest.raises(SystemExit):
                build_parser().parse_args([*command, "--help"])
            helps[command] = capsys.readouterr().out
        return helps[command]

    commands = ("count", "score", "segment", "train", "info", "export")
    everywhere = "".join(help_of(name) for name in commands)
    for named in remedies.WAYS.values():
        command = re.search(r"`histoprompt ([a-z ]+?)(?: \{\})?(?: (--[a-z-]+))?`", named)
        if command is None:
            option = re.search(r"--[a-z-]+", named)
            assert option is not None
            assert option[0] in everywhere
        else:
            assert (command[2] or "usage") in help_of(*command[1].split())


def test_a_remedy_given_goes_before_that_of_the_class():
    error = MissingMppError("A fact.", remedy=Remedy.MODELS, about="x")
    assert str(error) == f"A fact. {Remedy.MODELS.value}"
    assert str(MissingMppError("A fact.")) == f"A fact. {Remedy.PIXEL_SIZE.value}"
    assert str(HistopromptError("A fact.")) == "A fact."
