"""The README says what is so: tables, commands, links, keys."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from histoprompt import cli
from histoprompt.core.prompt_file import read_prompts
from histoprompt.models import registry

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    path = ROOT / "benchmarks" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command_lines() -> list[str]:
    """Every ``histoprompt ...`` line of the code blocks, continuation lines joined."""
    text = "\n".join(block for _, block in BLOCKS).replace("\\\n", " ")
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    return [line.partition("  #")[0] for line in lines if line.startswith("histoprompt ")]


def parsers(parser: argparse.ArgumentParser, name: str = "") -> dict[str, argparse.ArgumentParser]:
    """Every command by its full name."""
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not actions:
        return {name: parser}
    found: dict[str, argparse.ArgumentParser] = {}
    for word, inner in actions[0].choices.items():
        found |= parsers(inner, f"{name} {word}".strip())
    return found


def test_tables_are_those_of_the_results(tables: ModuleType) -> None:
    assert tables.filled(README) == README, "run: python benchmarks/tables.py"


def test_every_result_is_shown(tables: ModuleType) -> None:
    assert tables.without_place(README) == []
    assert "models" in tables.places(README)


def test_a_place_without_a_table_is_refused(tables: ModuleType) -> None:
    for name in ("nothing", "slides/9"):
        with pytest.raises(tables.TableError, match=name):
            tables.filled(f"<!-- table:{name} -->\n<!-- /table -->")


def test_a_changed_figure_would_be_noticed(tables: ModuleType) -> None:
    changed = README.replace("tiffslide | ratio", "tiffslide | ratios", 1)
    assert changed != README
    assert tables.filled(changed) == README


def test_the_table_of_models_names_every_model(tables: ModuleType) -> None:
    rows = tables.models_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [card.id for card in registry.all_cards()]


@pytest.mark.parametrize("line", command_lines())
def test_commands_are_accepted(line: str) -> None:
    args = cli.build_parser().parse_args(shlex.split(line)[1:])
    assert callable(args.run)


def test_every_command_is_shown() -> None:
    shown = command_lines()
    for name in parsers(cli.build_parser()):
        assert any(f"{line} ".startswith(f"histoprompt {name} ") for line in shown), name


def test_every_option_is_named() -> None:
    for name, parser in parsers(cli.build_parser()).items():
        for option in (o for a in parser._actions for o in a.option_strings):
            assert option in (*README.split(), "-h", "--help") or f"`{option}" in README, (
                f"{name} {option}"
            )


def test_links_to_files_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", README)
    local = [t for t in targets if "://" not in t]
    assert local
    assert not [t for t in local if not (ROOT / t).exists()]


def test_the_prompts_file_shown_is_read(tmp_path: Path) -> None:
    (text,) = [block for kind, block in BLOCKS if kind == "json"]
    path = tmp_path / "prompts.json"
    path.write_text(text)
    objects = read_prompts(path)
    kinds = [item.prompt.kinds for item in objects]
    assert set().union(*kinds) == {"box", "point", "scribble"}


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", "\n".join(b for _, b in BLOCKS), re.M)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_keys_are_the_plugin_s() -> None:
    from histoprompt._qt.keys import TABLE

    shown = set(re.findall(r"<kbd>([^<]+)</kbd>", README))
    known = {part for gesture in TABLE for part in gesture.title.split("+")}
    assert shown <= known, "the README tells of keys that nothing serves"


def test_no_machine_s_paths() -> None:
    assert not re.search(r"/(root|home/\w+|tmp|work)/", README)
