"""The vision encoders against transformers and timm, and in their full size without memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import SMALL_VIT, dinov2_names, load_small, random_values, small_networks

from histoprompt.models import key_maps, registry, weights
from histoprompt.models.card import HALF_ERROR
from histoprompt.models.networks.precision import computing_in, half_on
from histoprompt.models.networks.tile_input import IMAGENET
from histoprompt.models.weights import checkpoints
from histoprompt.models.zoo import vit

PUBLISHED = {
    "virchow2": (631_239_424, 455, 2560, 5),
    "virchow": (631_229_184, 454, 2560, 1),
    "uni": (303_350_784, 342, 1024, 1),
    "uni2-h": (681_394_176, 343, 1536, 9),
    "h-optimus-0": (1_134_774_272, 567, 1536, 5),
    "phikon-v2": (303_350_784, 342, 1024, 1),
    "dinov2-vit-b": (86_579_712, 174, 768, 1),
    "dinov2-vit-l": (304_367_616, 342, 1024, 1),
}


def test_every_encoder_is_measured() -> None:
    assert set(PUBLISHED) == set(vit.ARCHITECTURES) == {card.id for card in vit.CARDS}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_size(name: str) -> None:
    values, tensors, width, prefix = PUBLISHED[name]
    net = vit.build(vit.ARCHITECTURES[name])
    assert sum(p.numel() for p in net.parameters()) == values
    assert len(net.state_dict()) == tensors
    assert net.num_prefix_tokens == prefix
    assert {p.device.type for p in net.parameters()} == {"meta"}
    assert vit.VitEncoder(net, vit.ARCHITECTURES[name], "cpu").width == width


def test_phikon_v2_equals_transformers(tmp_path: Path) -> None:
    """A file that transformers wrote, through the path a user's file takes."""
    import torch
    from safetensors.torch import load_file

    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=SMALL_VIT["embed_dim"],
        num_hidden_layers=SMALL_VIT["depth"],
        num_attention_heads=SMALL_VIT["num_heads"],
        image_size=224,
        patch_size=16,
    )
    theirs = transformers.Dinov2Model(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in theirs.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    theirs.save_pretrained(tmp_path)
    path = (tmp_path / "model.safetensors").rename(tmp_path / "mine.safetensors")
    card = registry.card("phikon-v2")
    with small_networks():
        ours = registry.load_model(card, weights.resolve(card, path), "cpu")
        named = set(dinov2_names(random_values(vit.build(vit.ARCHITECTURES["phikon-v2"]))))
    assert named == set(load_file(path))
    tile = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(IMAGENET.prepare(tile))[None]).last_hidden_state[:, 0]
    assert np.abs(ours.encode(tile[None]) - expected.numpy()).max() < 1e-4


def test_virchow2_leaves_its_registers_out(tmp_path: Path) -> None:
    """The class token and the mean of what follows four registers, as its page says."""
    import torch

    model: Any = load_small(registry.card("virchow2"), tmp_path)
    tile = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    with torch.inference_mode():
        tokens = model._net(torch.from_numpy(IMAGENET.prepare(tile[0]))[None])
    assert tokens.shape == (1, 261, SMALL_VIT["embed_dim"])
    expected = torch.cat([tokens[:, 0], tokens[:, 5:].mean(1)], -1).numpy()
    assert np.abs(model.encode(tile) - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["uni", "h-optimus-0", "dinov2-vit-b"])
def test_a_class_token_is_timms_own_feature(name: str, tmp_path: Path) -> None:
    import torch

    model: Any = load_small(registry.card(name), tmp_path)
    recipe = vit.ARCHITECTURES[name].recipe
    tile = np.random.default_rng(1).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = model._net(torch.from_numpy(recipe.prepare(tile[0]))[None]).numpy()
    assert np.abs(model.encode(tile) - expected).max() < 1e-4


@pytest.mark.parametrize("shape", [(224, 224), (256, 256), (300, 231), (100, 120)])
def test_tiles_are_prepared_as_timm_does(shape: tuple[int, int]) -> None:
    from timm.data import create_transform

    published = create_transform(
        (3, 224, 224),
        interpolation="bicubic",
        mean=IMAGENET.mean,
        std=IMAGENET.std,
        crop_pct=1.0,
    )
    tile = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert np.abs(IMAGENET.prepare(tile) - published(Image.fromarray(tile)).numpy()).max() < 1e-5


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["virchow2", "h-optimus-0"])
def test_half_precision_stays_within_what_is_stated(name: str, half: str) -> None:
    import torch

    with small_networks():
        net: Any = vit.build(vit.ARCHITECTURES[name])
        net.load_state_dict(random_values(net), assign=True)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        full = net.eval().forward_features(images)
        with computing_in(half, "cpu"):
            short = net.forward_features(images).float()
    assert 0 < (full - short).norm() / full.norm() < HALF_ERROR


def test_half_precision_is_for_gpus_and_for_cards_that_say_so() -> None:
    card, other = registry.card("virchow2"), registry.card("medsam")
    assert half_on(card, "cuda") == half_on(card, "cuda:1") == "float16"
    assert half_on(card, "cpu") is None
    assert half_on(other, "cuda") is None


def test_names_that_fit_already_stay(tmp_path: Path) -> None:
    with small_networks():
        state = random_values(vit.build(vit.ARCHITECTURES["uni"]))
    assert key_maps.to_timm_vit(state).keys() == state.keys()
    import torch

    torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "run.pth")
    with small_networks():
        blueprint = vit.blueprint(registry.card("uni"))
    loaded = checkpoints.load_weights(blueprint, tmp_path / "run.pth", "UNI")
    assert all(loaded.state_dict()[k].equal(v) for k, v in state.items())
