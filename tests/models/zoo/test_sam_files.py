"""SAM's files of other libraries, and MobileSAM: against transformers where it is installed."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histoprompt.core.geometry import Box
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.models import registry, weights
from histoprompt.models.networks.decoding import PromptDecoder
from histoprompt.models.zoo import sam
from histoprompt.models.zoo.family import SamFamily
from tiny_sam import hugging_face_names, random_tiny_sam

PROMPT = Prompt.of_box(Box(20, 30, 61, 75))


@pytest.fixture(scope="module")
def theirs() -> Any:
    """transformers' SamModel of the structure of `tiny_sam`, every value random."""
    import torch

    transformers = pytest.importorskip("transformers")
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 32,
            "output_channels": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 128,
            "patch_size": 16,
            "mlp_dim": 64,
            "window_size": 3,
            "global_attn_indexes": [1],
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 128, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 32,
        },
    )
    net = transformers.SamModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in net.state_dict().values():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return net


def test_our_names_of_transformers_are_its_own(theirs: Any) -> None:
    shared = "prompt_encoder.shared_embedding.positional_embedding"
    published = set(theirs.state_dict()) - {shared}
    assert set(hugging_face_names(random_tiny_sam().state_dict())) == published


def built_from(path: Path) -> Any:
    """The network of a file of a user, of the structure of `tiny_sam`."""
    from segment_anything import sam_model_registry

    from tiny_sam import build_tiny_sam

    card = registry.card("sam-vit-b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sam_model_registry, "vit_b", build_tiny_sam)
        return sam.built(card, weights.resolve(card, path), "cpu")


@pytest.mark.parametrize("name", ["mine.safetensors", "mine.bin"])
def test_a_file_of_transformers_gives_its_masks(theirs: Any, name: str, tmp_path: Path) -> None:
    import torch

    path = tmp_path / name
    if path.suffix == ".bin":
        torch.save(theirs.state_dict(), path)
    else:
        theirs.save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").rename(path)
    model = SamFamily(
        registry.card("sam-vit-b"),
        built_from(path),
        "cpu",
        lambda image, _: sam.prepare(image, 128),
    )
    image = np.random.default_rng(0).integers(0, 256, (90, 110, 3), dtype=np.uint8)
    array, fit = sam.prepare(image, 128)
    corners = np.array([30, 20, 75, 61], np.float32) * np.array([*fit.scale[::-1]] * 2)
    with torch.inference_mode():
        expected = theirs(
            pixel_values=torch.from_numpy(array)[None],
            input_boxes=torch.from_numpy(corners).float()[None, None],
            multimask_output=False,
        )
    logits, iou = model.logits(model.embed(image), [PROMPT])
    their_logits = expected.pred_masks[0, 0].numpy()
    assert np.abs(logits[0] - their_logits).max() < 1e-4 * np.abs(their_logits).max()
    assert np.abs(iou[0] - expected.iou_scores[0, 0].numpy()).max() < 1e-4


def test_in_double_precision_nothing_is_left_of_the_difference(theirs: Any, tmp_path: Path) -> None:
    """What is seen above is the rounding of float32, not another eps, gelu or order of layers."""
    import torch

    torch.save(theirs.state_dict(), tmp_path / "mine.bin")
    ours, theirs = built_from(tmp_path / "mine.bin"), deepcopy(theirs)
    boxes = torch.tensor([[30.0, 20.0, 75.0, 61.0]])
    image = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        sparse, _ = ours.prompt_encoder(points=None, boxes=boxes, masks=None)
        features = ours.image_encoder.double()(image)
        decode = PromptDecoder(ours.prompt_encoder, ours.mask_decoder.double())
        logits, iou = decode(features, sparse.double(), multimask=False)
        expected = theirs.double()(
            pixel_values=image, input_boxes=boxes[None].double(), multimask_output=False
        )
        # Their coordinates of the box become double, ours stay float32 as published.
        assert (theirs.get_image_embeddings(image) - features).abs().max() < 1e-12
    assert (expected.pred_masks[0] - logits).abs().max() < 1e-6
    assert (expected.iou_scores[0] - iou).abs().max() < 1e-6


# ---------------------------------------------------------------------- MobileSAM


def test_mobile_sam_has_the_published_values() -> None:
    """9.66 million that are used, and the head of classes its file still has."""
    net = sam.empty("vit_t")
    head = sum(
        p.numel()
        for m in (net.image_encoder.head, net.image_encoder.norm_head)
        for p in m.parameters()
    )
    values = sum(p.numel() for p in net.parameters()) - head
    assert round(values / 1e6, 1) == 9.8
    assert head == 320 * 1000 + 1000 + 2 * 320
    names = set(net.state_dict())
    assert names >= {
        "image_encoder.patch_embed.seq.0.c.weight",
        "image_encoder.patch_embed.seq.2.bn.running_mean",
        "image_encoder.layers.0.blocks.0.conv1.c.weight",
        "image_encoder.layers.3.blocks.1.attn.attention_biases",
        "image_encoder.neck.3.bias",
        "image_encoder.norm_head.weight",
        "image_encoder.head.bias",
        "mask_decoder.iou_prediction_head.layers.2.weight",
    }
    assert net.state_dict()["image_encoder.patch_embed.seq.0.c.weight"].shape == (32, 3, 3, 3)


def test_mobile_sams_encoder_is_timms_tiny_vit_with_a_stride_less() -> None:
    """timm has the same stages under other names, in the same order; the neck is SAM's."""
    import torch
    from timm.models.tiny_vit import TinyVit

    from histoprompt.models.networks.tiny_vit import WIDTHS, MobileEncoder

    theirs = TinyVit(
        num_classes=0, embed_dims=WIDTHS, num_heads=(2, 4, 5, 10), drop_path_rate=0.0
    ).eval()
    theirs.stages[3].downsample.conv2.conv.stride = (1, 1)
    ours = MobileEncoder(256).double()
    fill_randomly(ours)
    shared = [v for k, v in ours.state_dict().items() if not k.startswith(("neck", "head", "norm"))]
    names = [k for k in theirs.state_dict() if not k.startswith("head")]
    theirs.double().load_state_dict(dict(zip(names, shared, strict=True)), strict=False)
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        expected = ours.eval().neck(theirs.forward_features(image))
        assert expected.std() > 0.1
        assert (ours(image) - expected).abs().max() < 1e-9


def fill_randomly(net: Any) -> None:
    """Every value of a network, positive where a normalisation divides by it."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for value in net.state_dict().values():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator) * 0.1
            value.copy_(drawn.abs() + 0.01 if value.ndim == 1 else drawn)


def test_mobile_sam_in_full_from_a_users_file(tmp_path: Path) -> None:
    """The file has the size of the published one, and a full image makes a full embedding."""
    import torch

    from histoprompt.models.networks.tiny_vit import MobileEncoder

    net = sam.empty("vit_t").to_empty(device="cpu")
    net.image_encoder = MobileEncoder()
    fill_randomly(net)
    torch.save(net.state_dict(), tmp_path / "mine.pt")
    card = registry.card("mobile-sam")
    assert abs((tmp_path / "mine.pt").stat().st_size / card.weights.n_bytes - 1) < 0.01
    model = registry.load_model(card, weights.resolve(card, tmp_path / "mine.pt"), "cpu")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    embedding = model.embed(image)
    assert embedding.data.tensor.shape == (1, 256, 64, 64)
    ((mask,),) = model.segment(embedding, [Prompt.of_box(Box(5, 5, 50, 60))])
    assert mask.array.shape == (64, 96)
