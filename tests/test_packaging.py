"""What an installed copy holds: manifest, types, sample data."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from npe2 import PluginManifest

from histoprompt import __version__

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "src" / "histoprompt" / "napari.yaml"


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
    docks = {"Prompt", "Count", "Cells", "Text", "Models", "Export", "Keys"}
    assert {w.display_name for w in contributions.widgets} == docks
    assert {s.key for s in contributions.sample_data} == {"slide", "ihc"}


def test_the_reader_takes_every_kind_of_slide() -> None:
    (reader,) = PluginManifest.from_file(MANIFEST).contributions.readers
    kinds = "svs ndpi scn bif tif tiff ome.tif zarr dcm png jpg jpeg"
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
