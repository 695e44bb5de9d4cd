"""The weights that come with the package, on the sample slide, and older files of both networks."""

from __future__ import annotations

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from histoprompt.core.geometry import Box  # noqa: E402
from histoprompt.core.labels.tiff import TiffLabels  # noqa: E402
from histoprompt.core.metrics import agreement, iou  # noqa: E402
from histoprompt.core.prompts.prompt import Prompt  # noqa: E402
from histoprompt.core.readers.open import open_slide  # noqa: E402
from histoprompt.core.slides import sample  # noqa: E402
from histoprompt.models.card import HALF_ERROR  # noqa: E402
from histoprompt.models.cells.instances import DecodeParams, decode  # noqa: E402
from histoprompt.models.networks.head_files import Heads, save_heads  # noqa: E402
from histoprompt.models.networks.lite_networks import Networks, shipped_heads  # noqa: E402
from histoprompt.models.networks.precision import half_on, multiplies_bfloat16  # noqa: E402
from histoprompt.models.networks.unet import NucleiNet, PromptNet  # noqa: E402
from histoprompt.models.weights.fit import check_fit  # noqa: E402
from histoprompt.models.zoo import histoprompt_lite as lite  # noqa: E402
from histoprompt.pipelines.evaluate.simulate import centre_click  # noqa: E402
from histoprompt.training.imagenet import PACKAGE  # noqa: E402

BOX = Box(200, 300, 1096, 1196)


@pytest.fixture(scope="module")
def field():
    """A part of the sample slide and its nuclei."""
    torch.set_num_threads(1)
    with open_slide(sample.sample_file(sample.SLIDE)) as slide:
        image, _ = slide.read(BOX, BOX.shape)
    with TiffLabels(sample.sample_file(sample.LABELS)) as source:
        return image, source.read(BOX)


def test_it_finds_the_nuclei_of_the_sample_slide(field):
    image, true = field
    cells = lite.load_cells(lite.CELLS, None, "cpu")
    found, features = cells.segment_described(image)
    result = agreement([true], [found])
    assert result.f1 > 0.88
    assert abs(result.bias) < 0.1
    assert features.shape == (found.max(), len(cells.feature_names))
    assert np.isfinite(features).all()


def test_prompts_outline_nuclei_of_the_sample_slide(field):
    image, true = (a[:256, :256] for a in field)
    rim = np.concatenate([true[0], true[-1], true[:, 0], true[:, -1]])
    whole = np.setdiff1d(np.unique(true), np.append(rim, 0))[:8]
    model = lite.load_prompts(lite.CARD, None, "cpu")
    embedding = model.embed(image)
    found = {"box": [], "click": []}
    for value in whole:
        target = true == value
        at = centre_click(target)
        asked = {"box": Prompt.of_box(Box.of_mask(target)), "click": Prompt.of_points([at])}
        for kind, prompt in asked.items():
            masks = model.segment(embedding, [prompt])[0]
            assert masks[0].array[tuple(at)]
            found[kind].append(iou(masks[0].array, target))
    assert len(whole) >= 4
    assert np.mean(found["box"]) > 0.85
    assert np.mean(found["click"]) > 0.8


def test_it_needs_no_package_of_pretrained_weights(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    cells = lite.load_cells(lite.CELLS, None, "cpu")
    assert cells.segment(np.full((64, 64, 3), 230, np.uint8)).max() == 0


def test_all_weights_are_small():
    with shipped_heads() as path:
        assert path.stat().st_size == lite.CELLS.weights.n_bytes < 8_000_000


def test_half_precision_hardly_changes_what_is_found(field):
    image = field[0][:512, :512]
    full, short = (Networks.load(None, "cpu", half) for half in (None, "bfloat16"))
    seen = full.look(image), short.look(image)
    for one, other in zip(*seen, strict=True):
        error = np.linalg.norm(one - other) / np.linalg.norm(one)
        assert 0 < error < 2 * HALF_ERROR
    one, other = (decode(maps, full.params) for maps, _ in seen)
    assert abs(int(one.max()) - int(other.max())) <= 0.02 * one.max()
    assert agreement([one], [other]).f1 > 0.97


def test_only_processors_with_bfloat16_use_it():
    expected = "bfloat16" if multiplies_bfloat16() else None
    assert half_on(lite.CELLS, "cpu") == expected
    assert half_on(lite.CELLS, "cuda") is None


@pytest.mark.parametrize("cells", ["unet", "efficientnet-lite0"])
@pytest.mark.parametrize("prompt", ["unet", "efficientnet-lite0"])
def test_each_network_may_have_either_trunk(tmp_path, cells, prompt):
    path = tmp_path / "mine.safetensors"
    states = NucleiNet(cells).state_dict(), PromptNet(prompt).state_dict()
    save_heads(Heads(*states, DecodeParams()), path)
    for card in lite.CARDS:
        check_fit(card, card.weights, path)
    width = {"unet": 128, "efficientnet-lite0": 112}[cells]
    model = lite.load_cells(lite.CELLS, path, "cpu")
    assert len(model.feature_names) == width
    labels = model.segment(np.full((64, 80, 3), 230, np.uint8))
    assert labels.shape == (64, 80)
