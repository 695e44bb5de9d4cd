"""Adapters of cell segmenters that come as packages of their own.

The packages are large and their weights are not to be had here, so small modules with the same
names, signatures and results stand in for them (cellpose 4.2.1, stardist 0.9.2 with csbdeep 0.8.2,
instanseg-torch 0.1.2). Where stardist or instanseg is installed, `test_real_cell_packages.py` runs
the real one.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi

from histoprompt.core.errors import ModelError, WeightsError
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.loading import load_from_registry
from histoprompt.models.weights import trust

IDS = ("cellpose", "stardist", "instanseg")


def dark(image: np.ndarray) -> np.ndarray:
    return ndi.label(image[..., 0] < image[..., 0].mean() - 1e-3)[0]


class CellposeModel:
    def __init__(self, gpu=False, pretrained_model="cpsam_v2", *, device=None, use_bfloat16=True):
        assert Path(pretrained_model).is_file()
        assert (str(device), use_bfloat16) == ("cpu", False)

    def eval(self, x, batch_size=8, resample=True, channels=None, channel_axis=None):
        assert x.shape[channel_axis] == 3
        return dark(x).astype(np.uint16), [], np.zeros(256)


class StarDist2D:
    """Reads the weights as the package does, any in the folder, and prints what it does."""

    def __init__(self, config, name=None, basedir="."):
        assert config is None
        self.logdir = Path(basedir) / name
        facts = json.loads((self.logdir / "config.json").read_text())
        self.config = types.SimpleNamespace(**facts)
        self.load_weights("weights_best.h5")

    def load_weights(self, name="weights_best.h5"):
        sys.stdout.write(f"Loading network weights from '{name}'.\n")
        if (self.logdir / name).read_text() != "weights":
            raise OSError("Unable to synchronously open file (file signature not found)")
        self.loaded = name

    def predict_instances(self, img, axes=None, normalizer=None, sparse=True, prob_thresh=None,  # noqa: PLR0917
                          nms_thresh=None, scale=None, n_tiles=None, show_tile_progress=True,
                          verbose=False):  # fmt: skip
        assert (axes, img.dtype) == ("YXC", np.float32)
        return dark(img).astype(np.int32), {"prob": np.zeros(0)}


class InstanSeg:
    def __init__(self, model_type="brightfield_nuclei", device=None, image_reader="auto",
                 verbosity=1, channels_last=True):  # fmt: skip
        assert (type(model_type).__name__, device) == ("RecursiveScriptModule", "cpu")
        self.instanseg = model_type

    def eval_small_image(self, image, pixel_size=None, normalise=True, return_image_tensor=True,  # noqa: PLR0917
                         target="all_outputs", rescale_output=True, **kwargs):  # fmt: skip
        """Like the package's, which fails on less than some 20 pixels a side."""
        import torch

        assert pixel_size == (0.5 if self.instanseg.pixel_size > 0 else None)
        assert (return_image_tensor, target) == (False, "nuclei")
        assert min(image.shape[:2]) >= 32
        return torch.from_numpy(dark(image).astype(np.float32))[None, None]


def normalize(x, pmin=3, pmax=99.8, axis=None, clip=False, eps=1e-20, dtype=np.float32):  # noqa: PLR0917
    low, high = np.percentile(x, [pmin, pmax], axis=axis, keepdims=True)
    return ((x - low) / (high - low + eps)).astype(dtype)


def no_gpu(kind: str) -> list[object]:
    assert kind == "GPU"
    return []


def module(name: str, **content: object) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(content)
    made.__path__ = []
    made.__spec__ = types.SimpleNamespace(name=name)
    return made


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stand-ins for the packages, with an empty place for their models."""
    models = module("cellpose.models", CellposeModel=CellposeModel, MODEL_DIR=tmp_path)
    utils = module("instanseg.utils", __file__=str(tmp_path / "utils" / "__init__.py"))
    stand_ins = (
        module("cellpose", models=models), models,
        module("csbdeep"), module("csbdeep.utils", normalize=normalize),
        module("stardist"), module("stardist.models", StarDist2D=StarDist2D),
        module("tensorflow", config=types.SimpleNamespace(list_physical_devices=no_gpu)),
        module("instanseg", InstanSeg=InstanSeg, utils=utils), utils,
    )  # fmt: skip
    for made in stand_ins:
        monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("INSTANSEG_BIOIMAGEIO_PATH", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def stardist_folder(folder: Path, axes: str = "YXC", channels: int = 3) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"axes": axes, "n_channel_in": channels}))
    (folder / "weights_best.h5").write_text("weights")
    return folder


def exported(path: Path, pixel_size: float = 0.5) -> Path:
    """A TorchScript file with the attributes that InstanSeg gives its own."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pixel_size, self.cells_and_nuclei = pixel_size, False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.pixel_size if self.cells_and_nuclei else x

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(Network()).save(str(path))
    trust.trust(path)
    return path


def weights_of(card: ModelCard, folder: Path) -> Path:
    """What each package loads."""
    if card.id == "stardist":
        return stardist_folder(folder / "mine")
    if card.id == "instanseg":
        return exported(folder / "mine" / "instanseg.pt")
    (folder / "mine").touch()
    return folder / "mine"


@pytest.mark.parametrize("name", IDS)
def test_cells_come_through_the_package(installed, name):
    card = registry.card(name)
    assert card.missing == ""
    model = registry.load_model(card, weights_of(card, installed), "cpu")
    image = np.full((90, 80, 3), 220, np.uint8)
    image[20:40, 20:40] = image[60:70, 50:70] = 60
    labels = model.segment(image)
    assert (labels.dtype, labels.max()) == (np.int32, 2)
    assert np.array_equal(labels > 0, image[..., 0] < 100)


@pytest.mark.parametrize("name", ["cpsam", "cpsam_v2"])
def test_weights_that_cellpose_keeps_are_found_whatever_their_version(installed, name):
    (installed / name).touch()
    registry.load_model(registry.card("cellpose"), None, "cpu")


@pytest.mark.parametrize("name", IDS)
def test_what_the_user_names_reaches_the_package(installed, name):
    card = registry.card(name)
    named = weights_of(card, installed)
    model = load_from_registry(card, named, "cpu")
    assert model.segment(np.zeros((40, 40, 3), np.uint8)).max() == 0
    with pytest.raises(WeightsError, match="do not exist"):
        load_from_registry(card, installed / "nowhere", "cpu")


@pytest.mark.parametrize("place", ["2D_versatile_he", "2D_versatile_he_extracted", ""])
def test_the_model_that_stardist_keeps_is_found_whatever_keras_there_is(installed, place):
    base = installed / ".keras" / "models" / "StarDist2D" / "2D_versatile_he"
    stardist_folder(base / place)
    registry.load_model(registry.card("stardist"), None, "cpu")


def test_the_file_named_of_a_stardist_model_is_the_one_loaded(installed, capsys):
    folder = stardist_folder(installed / "mine")
    (folder / "weights_last.h5").write_text("damaged")
    registry.load_model(registry.card("stardist"), folder, "cpu")
    with pytest.raises(WeightsError, match="cannot be read as a StarDist model: Unable"):
        registry.load_model(registry.card("stardist"), folder / "weights_last.h5", "cpu")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("lost", ["weights_best.h5", "config.json"])
def test_half_a_stardist_model_is_refused(installed, lost):
    folder = stardist_folder(installed / "mine")
    (folder / lost).unlink()
    with pytest.raises(WeightsError, match=r"is no StarDist model\. Name the folder"):
        registry.load_model(registry.card("stardist"), folder, "cpu")


@pytest.mark.parametrize(("axes", "channels"), [("YXC", 1), ("ZYXC", 3)])
def test_a_stardist_model_for_other_images_is_refused(installed, axes, channels):
    folder = stardist_folder(installed / "mine", axes, channels)
    with pytest.raises(WeightsError, match=rf"for {channels} channels with the axes {axes}"):
        registry.load_model(registry.card("stardist"), folder, "cpu")


def test_stardist_without_tensorflow_says_what_to_install(installed, monkeypatch):
    monkeypatch.setitem(sys.modules, "stardist.models", None)
    with pytest.raises(ModelError, match=r"pip install 'napari-histoprompt\[stardist\]'"):
        registry.load_model(registry.card("stardist"), stardist_folder(installed / "m"), "cpu")


def test_the_highest_version_that_instanseg_keeps_is_taken(installed):
    for version in ("0.1.9", "0.1.10"):
        path = installed / "bioimageio_models" / "brightfield_nuclei" / version / "instanseg.pt"
        exported(path, pixel_size=0.5 if version == "0.1.10" else 0)
    model = registry.load_model(registry.card("instanseg"), None, "cpu")
    image = np.full((20, 9, 3), 220, np.uint8)
    image[5:10, 2:6] = 60
    assert (model.segment(image) > 0).sum() == 20


@pytest.mark.parametrize("pixel_size", [0.0, float("nan")])
def test_an_instanseg_model_of_unknown_scale_takes_images_as_they_are(installed, pixel_size):
    path = exported(installed / "instanseg.pt", pixel_size)
    model = registry.load_model(registry.card("instanseg"), path.parent, "cpu")
    image = np.full((50, 50, 3), 220, np.uint8)
    image[5:10, 2:6] = 60
    assert model.segment(image).max() == 1


def test_files_that_are_no_instanseg_model_are_refused(installed):
    import torch

    other, text = installed / "other.pt", installed / "text.pt"
    torch.jit.script(torch.nn.Identity()).save(str(other))
    text.write_text("no model")
    trust.trust(other)
    trust.trust(text)
    for path, reason in ((other, "no model that InstanSeg exported"), (text, "no TorchScript")):
        with pytest.raises(WeightsError, match=reason):
            registry.load_model(registry.card("instanseg"), path, "cpu")


@pytest.mark.parametrize("name", IDS)
def test_missing_weights_are_named_and_nothing_is_downloaded(installed, name):
    with pytest.raises(WeightsError, match="name a file of your own"):
        registry.load_model(registry.card(name), None, "cpu")


@pytest.mark.parametrize("name", IDS)
def test_a_package_that_is_not_there_is_named(name):
    card = registry.card(name)
    if not card.missing:
        pytest.skip(f"{name} is installed here")
    with pytest.raises(ModelError, match=rf"pip install 'napari-histoprompt\[{name}\]'"):
        registry.load_model(card, None, "cpu")


def test_cards_of_cells_say_how_they_cut_an_image():
    for card in registry.all_cards():
        assert (card.windows is None) == (card.role != "cells"), card.id
    assert registry.card("histoprompt-cells").windows == (512, 448)
