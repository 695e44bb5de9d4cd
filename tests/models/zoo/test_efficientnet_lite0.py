"""The encoder that works everywhere, against timm's network with the same file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from histoprompt.core.errors import WeightsError  # noqa: E402
from histoprompt.models import registry, weights  # noqa: E402
from histoprompt.models.weights.checkpoints import read_state  # noqa: E402
from histoprompt.models.zoo.efficientnet_lite0 import CARD, blueprint, load  # noqa: E402


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    smooth = np.random.default_rng(3).integers(0, 256, (2, 14, 14, 3), np.uint8)
    return smooth.repeat(16, axis=1).repeat(16, axis=2)


@pytest.fixture(scope="module")
def encoder():
    return load(replace(CARD, cpu_amp_dtype=None), weights.resolve(CARD), "cpu")


def test_it_is_the_default_and_its_weights_are_here():
    assert registry.card(registry.DEFAULT_TILES) is CARD
    assert weights.verify(CARD).state == "published"


def test_features_are_mean_and_spread_of_timm_s_middle_layers(encoder, tiles):
    import timm

    full = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    values = torch.load(weights.resolve(CARD), weights_only=True).values()
    state = dict(zip(full.state_dict(), values, strict=True))
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True).eval()
    net.load_state_dict({k: state[k] for k in net.state_dict()})
    seen = torch.from_numpy(((tiles / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        levels = [level.flatten(2) for level in net(seen)[2:4]]
    assert [level.shape[1] for level in levels] == [40, 112]
    theirs = torch.cat(
        [part for x in levels for part in (x.mean(2), x.std(2, correction=0))], dim=1
    ).numpy()
    assert encoder.width == theirs.shape[1]
    assert np.allclose(encoder.encode(tiles), theirs, atol=1e-3)


def test_every_tensor_of_the_file_up_to_one_sixteenth_has_its_place():
    design = blueprint(CARD)
    raw = read_state(weights.resolve(CARD), design.under)
    renamed = design.rename(raw)
    assert not design.misfit(renamed)
    left = {k.split(".")[1] for k in raw if k.startswith("_blocks.")}
    blocks = {tuple(k.split(".")[1:3]) for k in renamed if k.startswith("stages.")}
    assert len(blocks) == 11
    assert len(left) > 11  # the last blocks are of the layers that are left out
    assert design.rename(renamed) == renamed


def test_another_network_s_file_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match="is no EfficientNet-Lite0"):
        load(CARD, path, "cpu")
