"""The documentation says what is so: commands, options, keys, models, measurements, links."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from histoprompt import cli
from histoprompt.core.cell_schema import COLUMNS
from histoprompt.core.prompts.file import read_prompts
from histoprompt.models import registry

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(page, kind, block) for page in PAGES for kind, block in _BLOCK.findall(PAGES[page])]
# What bash makes of it is not the command's; the tutorials are run as a whole.
SHELL = ("$", "<<")


def made(name: str) -> ModuleType:
    """One of the scripts that fill places of pages."""
    folder = str(ROOT / "scripts" / "docs")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def command_lines() -> list[str]:
    """Every ``histoprompt ...`` line of the code blocks, continuation lines joined."""
    text = "\n".join(block for _, _, block in BLOCKS).replace("\\\n", " ")
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    found = [line.partition("  #")[0] for line in lines if line.startswith("histoprompt ")]
    return [line for line in dict.fromkeys(found) if not any(mark in line for mark in SHELL)]


def parsers() -> list[tuple[str, argparse.ArgumentParser]]:
    """Every command by its full name."""
    found = made("cli_page").all_parsers(cli.build_parser())
    return [(name.removeprefix("histoprompt "), parser) for name, _, parser in found]


# -- README --------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 8192


def test_the_readme_s_python_runs(tmp_path: Path) -> None:
    (code,) = [block for page, kind, block in BLOCKS if (page, kind) == ("README.md", "python")]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ cells -> counts\n", done.stdout)
    assert (tmp_path / "counts" / "report.html").is_file()


def test_models_that_work_at_once_need_no_fetching() -> None:
    named = re.findall(r"`([\w-]+)`", README.partition("## Models")[2].partition("\n\nSAM")[0])
    assert named
    for name in named:
        card = registry.card(name)
        assert card.needs is None, name
        assert all(spec.package is not None for spec in card.files), name


# -- made pages ----------------------------------------------------------------------------------


def test_every_place_of_a_page_is_filled() -> None:
    places = made("places")
    for page, text in PAGES.items():
        assert not re.search(r"^<!-- made:", places.filled(text), re.MULTILINE), page


@pytest.mark.parametrize("place", ["nothing", "result nothing"])
def test_a_place_that_nothing_fills_is_refused(place: str) -> None:
    places = made("places")
    with pytest.raises(places.PlaceError, match="nothing"):
        places.filled(f"<!-- made: {place} -->")


def test_the_table_of_models_names_every_model() -> None:
    rows = made("models_table").table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [card.id for card in registry.all_cards()]
    assert "<!-- made: models -->" in PAGES["docs/models/index.md"]


def test_every_measurement_has_a_page_with_all_of_its_figures() -> None:
    places, hooks = made("places"), made("hooks")
    for path in (ROOT / "benchmarks" / "results").glob("*.md"):
        page = PAGES.get(f"docs/benchmarks/{path.stem}.md", f"<!-- made: result {path.stem} -->")
        rows = [line for line in path.read_text().splitlines() if line.startswith("|")]
        assert rows
        assert set(rows) <= set(places.filled(page).splitlines()), path.stem
        assert f"]({path.stem}.md)" in places.results_list()
    nav = hooks.on_config(argparse.Namespace(nav=[{"Benchmarks": ["benchmarks/index.md"]}])).nav
    assert "benchmarks/latency.md" in nav[0]["Benchmarks"]


def test_every_option_is_on_the_page_of_commands() -> None:
    page = made("places").filled(PAGES["docs/guide/cli.md"])
    for name, parser in parsers():
        section = page.partition(f"## histoprompt {name}\n")[2].partition("\n## ")[0]
        for action in made("cli_page").shown(parser):
            for option in action.option_strings:
                assert f"`{option}" in section, f"{name} {option}"


def test_the_page_of_commands_says_what_is_required_and_what_is_the_default() -> None:
    page = made("places").filled(PAGES["docs/guide/cli.md"])
    lines = {
        name: page.partition(f"## histoprompt {name}\n")[2].partition("\n## ")[0].splitlines()
        for name in ("count", "export")
    }
    (out,) = [line for line in lines["export"] if line.startswith("| `--out DIR`")]
    assert "required" in out
    (out,) = [line for line in lines["count"] if line.startswith("| `--out DIR`")]
    assert "required" not in out  # the slides of a project have their places
    (segmenter,) = [line for line in lines["count"] if line.startswith("| `--segmenter")]
    assert "histoprompt-cells" in segmenter


def test_keys_and_gestures_are_the_plugin_s() -> None:
    from histoprompt._qt.shell.keys import TABLE

    page = made("places").filled(PAGES["docs/guide/keys.md"])
    for gesture in TABLE:
        keys = "+".join(f"<kbd>{part}</kbd>" for part in gesture.title.split("+"))
        assert f"| {keys} | {gesture.where} | {gesture.does} |" in page


def test_columns_of_cells_are_those_of_the_tables() -> None:
    page = made("places").filled(PAGES["docs/guide/count.md"])
    for column in COLUMNS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{column.name}` |")]
        assert column.help in row
        assert column.unit in row


# -- written pages -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", command_lines())
def test_commands_are_accepted(line: str) -> None:
    args = cli.build_parser().parse_args(shlex.split(line)[1:])
    assert callable(args.run)


def test_every_command_is_shown() -> None:
    shown = command_lines()
    for name, _ in parsers():
        assert any(f"{line} ".startswith(f"histoprompt {name} ") for line in shown), name


def test_links_of_the_readme_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        targets = re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))
        local = [t for t in targets if "://" not in t]
        assert local or page == "CHANGELOG.md"
        assert not [t for t in local if not (ROOT / t).exists()], page


def test_the_prompts_file_shown_is_read(tmp_path: Path) -> None:
    (text,) = [block for _, kind, block in BLOCKS if kind == "json"]
    path = tmp_path / "prompts.json"
    path.write_text(text)
    objects = read_prompts(path)
    kinds = [item.prompt.kinds for item in objects]
    assert set().union(*kinds) == {"box", "point", "scribble"}


def test_python_of_the_pages_of_explanation_runs() -> None:
    for page, kind, block in BLOCKS:
        if kind == "python" and page.startswith("docs/explain"):
            exec(compile(block, page, "exec"), {})


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make (\w+)", "\n".join(block for _, _, block in BLOCKS), re.M))
    assert {"demo", "test", "docs", "pictures"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_machine_s_paths() -> None:
    for page, text in PAGES.items():
        assert not re.search(r"(?<!\w)/(root|home/\w+|tmp|work)/", text), page


def test_two_pictures_are_kept() -> None:
    """The rest is ignored by git, and made by `make pictures`."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    assert "docs/pictures/*" in lines
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert len(kept) == 2
    assert all((ROOT / name).is_file() for name in kept)
    images = [p for p in DOCS.rglob("*") if p.suffix in {".png", ".svg", ".jpg"}]
    assert {p.parent for p in images} == {DOCS / "pictures"}


# -- architecture --------------------------------------------------------------------------------


def test_the_architecture_s_rooms_are_the_package_s() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", PAGES["docs/explain/architecture.md"], re.MULTILINE)
    package = ROOT / "src" / "histoprompt"
    assert set(rows) == {p.name for p in package.iterdir() if p.is_dir()} - {"__pycache__"}


def test_folders_and_files_that_explanations_name_are_there() -> None:
    package = ROOT / "src" / "histoprompt"
    for page, text in PAGES.items():
        if not page.startswith(("docs/explain", "docs/develop")):
            continue
        for name in re.findall(r"`([\w/]+/[\w.]*)`", text):
            if name.startswith(("build/", "histoprompt/")):
                continue  # made, or in the user's data folder
            known = (package / name, ROOT / name, *package.glob(f"*/{name}"))
            assert any(place.exists() for place in known), f"{page}: {name}"


def test_the_places_of_a_subject_are_there() -> None:
    package, page = ROOT / "src" / "histoprompt", PAGES["docs/explain/glossary.md"]
    docks = re.findall(r"display_name: (\w+)", (package / "napari.yaml").read_text())
    pages = (package / "_qt" / "explore" / "dock.py").read_text()
    rows = re.findall(r"^\| [^|]+ \| `([\w/.]+)` \| `(\w+)` \| ([^|]*)\|", page, re.MULTILINE)
    assert len(rows) > 10
    for code, command, window in rows:
        assert (package / code).exists(), code
        assert command in cli.COMMANDS, command
        dock, _, tab = window.strip().partition(", page ")
        assert not dock or "every dock" in dock or dock in docks, window
        assert not tab or f'"{tab.strip("*")}"' in pages, window


@pytest.mark.parametrize("room", ["core", "models", "pipelines", "_qt"])
def test_every_folder_has_its_place_in_the_architecture(room: str) -> None:
    folders = (ROOT / "src" / "histoprompt" / room).glob("*/__init__.py")
    missing = {f"`{room}/{path.parent.name}/`" for path in folders} - set(
        re.findall(r"`[\w/]+/`", PAGES["docs/explain/architecture.md"])
    )
    assert not missing


def test_the_architecture_s_laws_are_the_linter_s() -> None:
    import tomllib

    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    text = PAGES["docs/explain/architecture.md"]
    (layers,) = [c["layers"] for c in config["contracts"] if c["name"] == "Imports point one way"]
    drawn = next(b for p, k, b in BLOCKS if p == "docs/explain/architecture.md" and k == "text")
    floors = [set(floor.strip().split(" | ")) for floor in drawn.split("<-")]
    wanted = [set(floor.replace("histoprompt.", "").split(" | ")) for floor in reversed(layers)]
    assert floors == wanted
    rows = {
        name: set(never.split(", ")) - {""}
        for name, never in re.findall(r"^\| `(\w+)/` \|.*\| ?(.*?) \|$", text, re.MULTILINE)
    }
    for contract in (c for c in config["contracts"] if c["type"] == "forbidden"):
        names = {"torch": "torch", "napari": "napari", "qtpy": "Qt"}
        forbidden = {names[m] for m in contract["forbidden_modules"] if m in names}
        for module in contract["source_modules"]:
            assert forbidden <= rows[module.removeprefix("histoprompt.")], module


# -- the site ------------------------------------------------------------------------------------


def test_the_site_is_strict_and_fetches_nothing() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    lines = config.splitlines()
    assert "strict: true" in lines
    assert any(line.strip().startswith("font: false") for line in lines)
    assert "://" not in config
    plugins = re.findall(
        r"^  - ([\w-]+)", config.partition("\nplugins:\n")[2].partition("\n\n")[0], re.M
    )
    assert plugins == ["search", "api-autonav", "mkdocstrings"]
