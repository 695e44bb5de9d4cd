"""Adapters of cell segmenters that come as packages of their own.

The packages are large and their weights are not to be had here, so small modules with the same
names, signatures and results stand in for them (cellpose 4.2.1, stardist 0.9.2, instanseg-torch
0.1.2).
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi

from histoprompt.core.errors import ModelError, WeightsError
from histoprompt.models import registry
from histoprompt.models.card import ModelCard

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
    def __init__(self, config=None, name=None, basedir="."):
        assert config is None
        assert (Path(basedir) / name / "config.json").is_file()

    def predict_instances(self, img, axes=None):
        assert (axes, img.dtype) == ("YXC", np.float32)
        return dark(img).astype(np.int32), {"prob": np.zeros(0)}


class InstanSeg:
    def __init__(self, model_type, device=None, image_reader="auto", verbosity=1):
        assert (type(model_type).__name__, device) == ("RecursiveScriptModule", "cpu")

    def eval_small_image(self, image, pixel_size=None, normalise=True, return_image_tensor=True,
                         target="all_outputs"):  # fmt: skip
        import torch

        assert (pixel_size, return_image_tensor, target) == (0.5, False, "nuclei")
        return torch.from_numpy(dark(image).astype(np.float32))[None, None]


def normalize(x, pmin=3, pmax=99.8, axis=None):
    low, high = np.percentile(x, [pmin, pmax], axis=axis, keepdims=True)
    return ((x - low) / (high - low + 1e-20)).astype(np.float32)


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
        module("instanseg", InstanSeg=InstanSeg, utils=utils), utils,
    )  # fmt: skip
    for made in stand_ins:
        monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("INSTANSEG_BIOIMAGEIO_PATH", raising=False)
    return tmp_path


def weights_of(card: ModelCard, folder: Path) -> Path:
    """A file of the kind each package loads."""
    import torch

    path = (
        folder
        / "mine"
        / {"stardist": "config.json", "instanseg": "instanseg.pt"}.get(card.id, "mine")
    )
    path.parent.mkdir()
    if card.id == "instanseg":
        torch.jit.script(torch.nn.Identity()).save(str(path))
    else:
        path.write_text("{}")
    return path


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
def test_missing_weights_are_named_and_nothing_is_downloaded(installed, name):
    with pytest.raises(WeightsError, match="--weights"):
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
    assert registry.card("histoprompt-cells").windows == (512, 384)
