"""The sample slide: made again from its seed, true to its ground truth, listed in napari."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManifest
from scipy.ndimage import find_objects, label

from histoprompt.core.errors import SlideError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.tiff import TiffLabels
from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides import sample
from histoprompt.core.stain.deconvolution import optical_density

if TYPE_CHECKING:
    from npe2._pytest_plugin import TestPluginManager

FOLDER = sample.sample_folder()
SCRIPT = FOLDER / "make_sample.py"
MADE = ("slide.ome.tif", "labels.tif", "regions.tif", "classes.csv", "regions.json")
KINDS = {
    "tumour",
    "mitosis",
    "lymphocyte",
    "fibroblast",
    "epithelial",
    "endothelial",
    "adipocyte",
}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return tifffile.imread(FOLDER / "slide.ome.tif")


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return tifffile.imread(FOLDER / "labels.tif")


@pytest.fixture(scope="module")
def classes() -> dict[int, str]:
    with (FOLDER / "classes.csv").open(newline="") as file:
        return {int(row["id"]): row["class"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def regions() -> dict[str, np.ndarray]:
    names = json.loads((FOLDER / "regions.json").read_text())["regions"]
    codes = tifffile.imread(FOLDER / "regions.tif")
    return {name: codes == code for name, code in names.items()}


@pytest.fixture(scope="module")
def made_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(folder)], check=True)
    return folder


def test_the_seed_makes_the_same_truth_and_look(
    made_again: Path, image: np.ndarray, labels: np.ndarray
) -> None:
    again = tifffile.imread(made_again / "slide.ome.tif").astype(int)
    assert again.shape == image.shape
    # another JPEG encoder or another last bit may move a pixel, never the picture
    assert np.abs(again - image).mean() < 1.0
    assert (tifffile.imread(made_again / "labels.tif") == labels).mean() > 0.999
    assert (made_again / "regions.json").read_text() == (FOLDER / "regions.json").read_text()


def test_the_same_libraries_make_the_same_bytes(made_again: Path) -> None:
    made_with = json.loads((FOLDER / "made_with.json").read_text())
    here = {name: version(name) for name in made_with}
    if made_with != here:
        pytest.skip(f"the sample was made with {made_with}, this machine has {here}")
    for name in MADE:
        assert (made_again / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_the_folder_is_small() -> None:
    files = [p for p in FOLDER.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) < 6_000_000


def test_the_slide_opens_as_a_pyramid_of_known_pixel_size() -> None:
    with open_slide(sample.sample_file(sample.SLIDE)) as slide:
        assert [level.shape for level in slide.levels] == [
            (2400, 3000, 3),
            (1200, 1500, 3),
            (600, 750, 3),
            (300, 375, 3),
        ]
        assert slide.mpp == pytest.approx(0.25)
        assert slide.mpp_source == "file"


def test_the_levels_show_the_same_picture_in_place(image: np.ndarray) -> None:
    with open_slide(sample.sample_file(sample.SLIDE)) as slide:
        coarse = np.asarray(slide.levels[3][:]).astype(float)
    blocks = image.reshape(300, 8, 375, 8, 3).mean(axis=(1, 3))
    error = np.abs(blocks - coarse).mean()  # of JPEG, which halves the resolution of colour
    shifted = np.abs(np.roll(blocks, 1, axis=1) - coarse).mean()
    assert error < 6
    assert error < 0.6 * shifted


def test_the_label_image_is_a_label_source(labels: np.ndarray) -> None:
    with TiffLabels(sample.sample_file(sample.LABELS)) as source:
        assert source.shape == (2400, 3000)
        box = Box(900, 400, 1300, 900)
        assert np.array_equal(source.read(box), labels[900:1300, 400:900])


def test_every_nucleus_has_a_class_and_is_one_piece(
    labels: np.ndarray, classes: dict[int, str]
) -> None:
    places = find_objects(labels)
    assert len(places) == len(classes) > 900
    assert set(classes.values()) == KINDS
    for i, place in enumerate(places, start=1):
        assert label(labels[place] == i)[1] == 1, i


def test_kinds_differ_as_they_do_in_tissue(labels: np.ndarray, classes: dict[int, str]) -> None:
    areas = np.bincount(labels.ravel())[1:] * 0.25**2
    names = np.array([classes[i] for i in range(1, len(classes) + 1)])
    typical = {name: np.median(areas[names == name]) for name in KINDS}
    assert 20 < typical["lymphocyte"] < 50  # square microns
    assert typical["tumour"] > 1.8 * typical["lymphocyte"]
    assert typical["adipocyte"] < typical["fibroblast"] < typical["tumour"]


def test_nuclei_are_bluer_and_darker_than_what_is_between(
    image: np.ndarray, labels: np.ndarray, regions: dict[str, np.ndarray]
) -> None:
    red = optical_density(image)[..., 0]
    for name in ("tumour", "stroma", "gland"):
        inside = regions[name] & (labels > 0)
        between = regions[name] & (labels == 0)
        assert np.median(red[inside]) > 2.0 * np.median(red[between]), name


def test_regions_look_as_they_are_called(
    image: np.ndarray, regions: dict[str, np.ndarray], labels: np.ndarray
) -> None:
    means = {name: image[where & (labels == 0)].mean(axis=0) for name, where in regions.items()}
    assert all(where.mean() > 0.01 for where in regions.values())
    assert means["glass"].min() > 230
    assert image[regions["glass"]].std() > 0.5  # noise: no scanner records a flat white
    red, green, blue = means["stroma"]
    assert red > blue > green  # pink
    assert means["tumour"][0] < red  # more purple
    assert means["fat"].min() > means["stroma"].min() + 40  # mostly empty
    assert means["pen"][2] > 1.5 * means["pen"][0]


def test_no_nucleus_lies_on_glass(labels: np.ndarray, regions: dict[str, np.ndarray]) -> None:
    assert not (labels[regions["glass"]] > 0).any()


def test_the_spot_out_of_focus_is_less_sharp(image: np.ndarray) -> None:
    facts = json.loads((FOLDER / "regions.json").read_text())["out_of_focus"]
    row, col = (int(v) for v in facts["centre"])
    near, far = (image[row - 90 : row + 90, c - 90 : c + 90, 1] for c in (col, col + 900))
    sharpness = [np.abs(np.diff(part.astype(int), axis=1)).mean() for part in (near, far)]
    assert sharpness[0] < 0.5 * sharpness[1]


def test_a_missing_file_names_the_place_and_the_remedy() -> None:
    with pytest.raises(SlideError, match=r"nothing\.tif.*make sample"):
        sample.sample_file("nothing.tif")


def test_a_package_without_the_folder_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sample, "_PACKAGE", tmp_path / "src" / "histoprompt")
    with pytest.raises(SlideError, match="make sample"):
        sample.sample_folder()


def test_the_package_goes_before_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "src" / "histoprompt"
    for folder in (tmp_path / "sample_data", package / "sample_data"):
        folder.mkdir(parents=True)
        (folder / sample.SLIDE).touch()
    monkeypatch.setattr(sample, "_PACKAGE", package)
    assert sample.sample_folder() == package / "sample_data"


@pytest.mark.parametrize(("key", "shape"), [("slide", (2400, 3000, 3)), ("ihc", (512, 512, 3))])
def test_napari_opens_the_samples(
    npe2pm: TestPluginManager, key: str, shape: tuple[int, ...]
) -> None:
    viewer = ViewerModel()
    manifest = PluginManifest.from_distribution("napari-histoprompt")
    with npe2pm.tmp_plugin(manifest=manifest):
        (layer,) = viewer.open_sample("napari-histoprompt", key)
    level = layer.data[0] if layer.multiscale else layer.data
    assert tuple(level.shape) == shape
    assert layer.rgb
