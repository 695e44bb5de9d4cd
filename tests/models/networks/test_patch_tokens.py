"""Tokens of a real open_clip tower, small and with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.errors import ModelError
from histoprompt.models.networks.patch_tokens import patch_tokens

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tower():
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(0)
    return VisionTransformer(32, 8, 24, 3, 2, 4.0, output_dim=12).eval()


@torch.no_grad()
def test_they_are_unit_vectors_of_the_text_space_one_a_patch(tower):
    found = patch_tokens(tower, torch.randn(2, 3, 32, 32))
    assert found.shape == (2, 4, 4, 12)
    assert np.allclose(found.norm(dim=-1).numpy(), 1, atol=1e-5)


@torch.no_grad()
def test_a_single_block_keeps_each_patch_to_itself():
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(1)
    shallow = VisionTransformer(32, 8, 24, 1, 2, 4.0, output_dim=12).eval()
    images = torch.randn(1, 3, 32, 32)
    changed = images.clone()
    changed[..., 8:16, 16:24] += 1  # the patch in row 1, column 2
    apart = (patch_tokens(shallow, images) - patch_tokens(shallow, changed)).abs().amax(dim=-1)[0]
    assert apart[1, 2] > 1e-3
    apart[1, 2] = 0
    assert apart.max() < 1e-5


@torch.no_grad()
def test_equal_values_give_the_attention_s_own_output(tower):
    """Where all tokens are alike, mixing them changes nothing, and nor does leaving it out."""
    from histoprompt.models.networks.patch_tokens import _values

    block = tower.transformer.resblocks[-1]
    x = torch.randn(1, 1, 24).expand(1, 17, 24)
    assert torch.allclose(_values(block, x), block.attention(block.ln_1(x)), atol=1e-5)


def test_another_kind_of_tower_is_refused():
    with pytest.raises(ModelError, match="no tokens"):
        patch_tokens(torch.nn.Linear(2, 2), torch.zeros(1, 2))
