"""The networks of the heads: shapes, starting points, nesting."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from histoprompt.models.zoo.heads import InstanceHead, PromptHead, pixel_planes  # noqa: E402
from histoprompt.models.zoo.lite_encoder import load_published  # noqa: E402


@pytest.fixture(scope="module")
def published():
    torch.set_num_threads(1)
    return load_published()


@pytest.fixture(scope="module")
def prompt_head(published):
    head = PromptHead().eval().requires_grad_(False)
    head.prompt_encoder.load_state_dict(published.prompt_encoder.state_dict())
    head.mask_decoder.load_state_dict(published.mask_decoder.state_dict())
    return head


def test_pixel_planes_do_not_depend_on_a_colour_cast():
    rgb = torch.randint(40, 200, (1, 3, 32, 32), dtype=torch.uint8)
    one, other = pixel_planes(rgb), pixel_planes(rgb + 20)
    assert one.shape == (1, 5, 32, 32)
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-5)


def test_the_instance_head_is_small_and_keeps_half_the_resolution():
    head = InstanceHead()
    maps = head(torch.randn(1, 256, 16, 16), torch.randn(1, 5, 64, 64))
    assert maps.shape == (1, 3, 32, 32)
    assert sum(p.numel() for p in head.parameters()) < 500_000


def test_an_untrained_prompt_head_is_litemedsam(published, prompt_head):
    torch.manual_seed(0)
    embedding = torch.randn(1, 256, 64, 64)
    with torch.inference_mode():
        sparse, dense = published.prompt_encoder(None, torch.tensor([[[40.0, 30, 79, 99]]]), None)
        pe = published.prompt_encoder.get_dense_pe()
        theirs, iou = published.mask_decoder(embedding, pe, sparse, dense, multimask_output=False)
        ours, scores = prompt_head(
            embedding,
            prompt_head.position(),
            torch.zeros(1, 32, 256, 256),
            torch.tensor([[[30.0, 40], [99, 79]]]),
            torch.tensor([[2, 3]]),
            hints=torch.rand(1, 4, 256, 256),
        )
    assert torch.allclose(ours[:, :1], theirs, atol=1e-4)
    assert torch.allclose(scores[:, :1], iou, atol=1e-4)


def test_three_masks_are_nested_and_windows_fit(prompt_head):
    torch.manual_seed(1)
    with torch.inference_mode():
        logits, scores = prompt_head(
            torch.randn(2, 256, 8, 8),
            torch.randn(2, 256, 8, 8),
            torch.randn(2, 32, 32, 32),
            torch.zeros(2, 1, 2),
            torch.tensor([[1], [-1]]),
            hints=torch.rand(2, 4, 32, 32),
        )
    assert logits.shape == (2, 4, 32, 32)
    assert scores.shape == (2, 4)
    masks = (logits > 0).numpy()
    assert not (masks[:, 1] & ~masks[:, 2]).any()
    assert not (masks[:, 2] & ~masks[:, 3]).any()


def test_no_prompt_adds_nothing_to_the_tokens(prompt_head):
    one = prompt_head._tokens(torch.tensor([[[5.0, 5]]]), torch.tensor([[-1]]))
    other = prompt_head._tokens(torch.tensor([[[90.0, 5]]]), torch.tensor([[-1]]))
    assert np.array_equal(one.numpy(), other.numpy())
