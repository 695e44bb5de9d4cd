"""What importing costs: no torch before a model is asked for, and imports that point one way."""

from __future__ import annotations

import ast
import copy
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from importlinter import configuration as import_linter
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract as ACYCLIC  # noqa: N814

import histoprompt
from histoprompt._qt.shell.docks import dock_modules

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(histoprompt.__file__).parent

# slow to import, so nothing but loading a model may bring them in
HEAVY = ("torch", "torchvision", "segment_anything", "open_clip", "timm")
# layers of networks, which are torch classes: imported by `load` only
NETWORKS = (
    "histoprompt.models.networks.bert",
    "histoprompt.models.networks.efficientnet",
    "histoprompt.models.networks.masked_autoencoder",
    "histoprompt.models.networks.scribble_unet",
    "histoprompt.models.networks.tiny_vit",
    "histoprompt.models.networks.unet",
    "histoprompt.models.networks.unetr",
)


def _modules(*folders: str) -> list[str]:
    """Dotted names of all modules under folders of the package."""
    files = [f for folder in folders for f in sorted((PACKAGE / folder).rglob("*.py"))]
    parts = [f.relative_to(PACKAGE.parent).with_suffix("").parts for f in files]
    # `__main__` runs the program
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts if p[-1] != "__main__"]


def _loaded_by(modules: list[str]) -> set[str]:
    """Top-level modules in memory after a fresh interpreter imported some."""
    code = f"import sys, {', '.join(modules)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "modules",
    [
        _modules("cli"),
        _modules("core", "annotations", "pipelines"),
    ],
    ids=["command line", "core, annotations, pipelines"],
)
def test_without_a_screen_neither_torch_nor_qt_is_loaded(modules: list[str]) -> None:
    assert not _loaded_by(modules) & {*HEAVY, "napari", "qtpy", "PyQt6", "magicgui"}


def _loaded_by_command(*words: str) -> set[str]:
    """Top-level modules in memory after a command line ended in a fresh interpreter."""
    code = (
        "import sys\nfrom histoprompt.cli import main\n"
        f"try: main({list(words)})\nexcept SystemExit: pass\n"
        "print('loaded:', *{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["nonsense"], []])
def test_help_loads_nothing_that_takes_time(words: list[str]) -> None:
    slow = {"numpy", "scipy", "skimage", "sklearn", "pandas", "zarr", "pyarrow", "requests"}
    assert not _loaded_by_command(*words) & {*HEAVY, *slow, "tifffile", "napari"}


@pytest.mark.parametrize("command", ["segment", "count", "audit", "models", "train"])
def test_a_command_s_help_loads_no_pipeline(command: str) -> None:
    slow = {"scipy", "skimage", "sklearn", "pandas", "zarr", "pyarrow", "tifffile"}
    assert not _loaded_by_command(command, "--help") & {*HEAVY, *slow, "napari"}


def test_the_package_alone_loads_nothing_heavy() -> None:
    loaded = _loaded_by(["histoprompt"])
    assert not loaded & {*HEAVY, "numpy", "pandas", "napari", "qtpy", "PyQt6", "magicgui"}


def test_knowing_the_models_loads_no_torch() -> None:
    modules = [name for name in _modules("models") if name not in NETWORKS]
    loaded = _loaded_by(["histoprompt.models.registry", *modules])
    assert not loaded & {*HEAVY, "napari", "qtpy", "PyQt6"}


def test_asking_for_all_cards_loads_no_network() -> None:
    code = (
        "import sys; from histoprompt.models.registry import all_cards; all_cards(); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {*HEAVY, *NETWORKS}


def test_opening_docks_loads_no_torch() -> None:
    modules = _modules("_qt")
    assert "histoprompt._qt.widgets" in modules
    assert not _loaded_by(modules) & set(HEAVY)


def test_the_reader_loads_no_qt() -> None:
    assert not _loaded_by(["histoprompt._qt.reader", "histoprompt._qt.sample"]) & {"PyQt6"}


def test_imports_point_one_way() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# What a dock leaves to others: arrays, threads, tables and file formats.
NOT_IN_DOCKS = {"numpy", "scipy", "pandas", "threading", "concurrent", "json", "csv", "tifffile"}
DOCKS = [path for path in sorted((PACKAGE / "_qt").rglob("*dock.py")) if path.parent.name != "_qt"]


def _imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def _name_of(path: Path) -> str:
    return ".".join(("histoprompt", *path.relative_to(PACKAGE).with_suffix("").parts))


def test_these_are_the_docks_of_the_manifest() -> None:
    # that of the keys is a list of them, beside what all docks use
    assert {*dock_modules()} - {_name_of(path) for path in DOCKS} == {
        "histoprompt._qt.widgets.keys_help"
    }


@pytest.mark.parametrize("path", DOCKS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_docks_are_thin(path: Path) -> None:
    found = _imported(path)
    assert {name.split(".")[0] for name in found} & NOT_IN_DOCKS == set()
    assert found & {_name_of(other) for other in DOCKS} == set()
    assert [n for n in found if n.startswith("histoprompt.core.readers")] == []


# An import that would close a circle: of two halls, of two rooms of a hall, of two docks.
CIRCLES = [
    ("histoprompt.core.geometry", "histoprompt.models.card"),
    ("histoprompt.core.slides.slide", "histoprompt.core.readers.open"),
    ("histoprompt.pipelines.recipes.step", "histoprompt.pipelines.count.step"),
    ("histoprompt._qt.shell.jobs", "histoprompt._qt.count.dock"),
]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Who imports whom; each test changes a copy."""
    return grimp.build_graph("histoprompt", cache_dir=None)


@pytest.mark.parametrize("closing", [None, *CIRCLES], ids=str)
def test_a_circle_breaks_the_rules(
    closing: tuple[str, str] | None, imports: grimp.ImportGraph
) -> None:
    import_linter.configure()
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (rule,) = [
        one
        for one in rules["tool"]["importlinter"]["contracts"]
        if one["type"] == ACYCLIC.type_name
    ]
    given = {key: value for key, value in rule.items() if key not in ("name", "type")}
    graph = copy.deepcopy(imports)
    if closing:
        graph.add_import(importer=closing[0], imported=closing[1])
    session = {"root_packages": ["histoprompt"]}
    assert ACYCLIC(rule["name"], session, given).check(graph, verbose=False).kept == (not closing)
