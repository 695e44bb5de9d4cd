"""What an installed copy holds, and that all ways to install it name the same."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from npe2 import PluginManifest

from histoprompt import __version__

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "src" / "histoprompt" / "napari.yaml"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIG["project"]
# What conda calls otherwise than PyPI.
CONDA_NAMES = {"pytorch": "torch", "open-clip-torch": "open_clip_torch"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel's contents, built by the project's own build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "No module named hatchling" in done.stderr:
        pytest.skip("hatchling is not installed: pip install hatchling")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_manifest_at_the_top_is_the_package_s() -> None:
    assert (ROOT / "napari.yaml").read_text() == MANIFEST.read_text()


def test_npe2_accepts_the_manifest() -> None:
    npe2 = Path(sys.executable).with_name("npe2")
    done = subprocess.run(
        [str(npe2), "validate", "napari-histoprompt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_the_manifest_names_can_be_imported() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()


def test_contributions_have_titles_that_tell_them_apart() -> None:
    contributions = PluginManifest.from_file(MANIFEST).contributions
    titles = [command.title for command in contributions.commands]
    assert len(set(titles)) == len(titles)
    docks = "Prompt Count Cells Objects Text Explore Tags Models Import Export Train Project"
    assert {w.display_name for w in contributions.widgets} == {*docks.split(), "Relate", "Keys"}
    assert {s.key for s in contributions.sample_data} == {"slide", "ihc"}


def test_the_reader_takes_every_kind_of_slide() -> None:
    (reader,) = PluginManifest.from_file(MANIFEST).contributions.readers
    kinds = "svs ndpi scn bif tif tiff ome.tif zarr mrxs dcm png jpg jpeg"
    assert {f"*.{kind}" for kind in kinds.split()} <= set(reader.filename_patterns)
    assert reader.accepts_directories


@pytest.mark.parametrize(
    "name",
    [
        "napari.yaml",
        "py.typed",
        "cli/__init__.py",
        "sample_data/slide.ome.tif",
        "sample_data/labels.tif",
        "sample_data/classes.csv",
        "sample_data/regions.tif",
        "sample_data/regions.json",
        "sample_data/make_sample.py",
    ],
)
def test_the_wheel_holds(wheel: zipfile.ZipFile, name: str) -> None:
    assert f"histoprompt/{name}" in wheel.namelist()


def test_the_wheel_s_sample_is_the_checkout_s(wheel: zipfile.ZipFile) -> None:
    inside = wheel.read("histoprompt/sample_data/slide.ome.tif")
    assert inside == (ROOT / "sample_data" / "slide.ome.tif").read_bytes()


def test_the_wheel_holds_nothing_by_accident(wheel: zipfile.ZipFile) -> None:
    strays = [n for n in wheel.namelist() if "__pycache__" in n or n.endswith((".part", ".keep"))]
    assert not strays
    assert not [n for n in wheel.namelist() if n.startswith(("tests/", "benchmarks/"))]


def test_the_wheel_names_its_entry_points_and_licence(wheel: zipfile.ZipFile) -> None:
    info = f"napari_histoprompt-{__version__}.dist-info"
    entries = wheel.read(f"{info}/entry_points.txt").decode()
    assert "histoprompt = histoprompt.cli:main" in entries
    assert "napari-histoprompt = histoprompt:napari.yaml" in entries
    assert "BSD-3-Clause" in wheel.read(f"{info}/METADATA").decode()


# -- ways to install -----------------------------------------------------------------------------


def test_the_one_line_installs_a_window_and_all_readers() -> None:
    assert PROJECT["optional-dependencies"]["all"] == ["napari-histoprompt[qt,dicom,anndata]"]
    for page in ("README.md", "docs/install.md", ".napari-hub/DESCRIPTION.md"):
        assert 'pip install "napari-histoprompt[all]"' in (ROOT / page).read_text(), page


def test_extras_of_the_page_on_installing_are_the_project_s() -> None:
    named = re.findall(r"`\[([\w-]+)\]`", (ROOT / "docs" / "install.md").read_text())
    extras = set(PROJECT["optional-dependencies"])
    assert set(named) == extras - {"test", "docs"}


def test_the_conda_recipe_names_what_the_project_names() -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "meta.yaml").read_text())
    package = recipe["package"]
    assert (package["name"], package["version"]) == (PROJECT["name"], __version__)
    run = dict(line.partition(" ")[::2] for line in recipe["requirements"]["run"])
    assert run.pop("python") == PROJECT["requires-python"]
    assert {CONDA_NAMES.get(name, name) + version for name, version in run.items()} == set(
        PROJECT["dependencies"]
    )
    commands = dict(line.split(" = ") for line in recipe["build"]["entry_points"])
    assert commands == PROJECT["scripts"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]


def test_the_image_s_recipe_copies_and_installs_what_the_project_needs() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (base,) = [line for line in lines if line.startswith("FROM ")]
    version = re.fullmatch(r"FROM python:([\d.]+)-slim", base)[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    build = CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    needed |= {package.partition("/")[0] for package in build["packages"]}
    assert copied == needed | set(build["force-include"])
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} <= set(let_in)
    (extras,) = [re.search(r'"\.\[([\w,]+)\]"', v)[1] for v in lines if "pip install" in v]
    assert "qt" not in extras
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert [v for v in lines if v.startswith("ENTRYPOINT")] == ['ENTRYPOINT ["histoprompt"]']
    assert "histoprompt" in PROJECT["scripts"]


def test_version_and_licence_are_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (__version__, PROJECT["license"])
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_hub_s_page_is_there() -> None:
    config = yaml.safe_load((ROOT / ".napari-hub" / "config.yml").read_text())
    assert [author["name"] for author in config["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]
    assert "Framework :: napari" in PROJECT["classifiers"]
    assert (ROOT / ".napari-hub" / "DESCRIPTION.md").read_text().startswith("# histoprompt\n")
