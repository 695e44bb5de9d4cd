"""What a CLIP image tower sees in each patch, in the space of its texts.

The tower is trained to put only its class token there. Its last attention block mixes patches, so
that every patch says what the class token says; the values of that block, taken as they are and put
through the same projection, keep their place: C. Zhou et al., "Extract free dense labels from
CLIP" (MaskCLIP), ECCV 2022. Works on `open_clip.transformer.VisionTransformer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histoprompt.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


def patch_tokens(tower: Any, images: Tensor) -> Tensor:
    """Unit vectors of the patches of images.

    Parameters
    ----------
    tower : open_clip.transformer.VisionTransformer
        In evaluation mode.
    images : (n, 3, h, w) float Tensor
        As the tower takes them: normalised, of its input size.

    Returns
    -------
    (n, rows, cols, d) float Tensor
        In the space of the model's texts.

    Raises
    ------
    ModelError
        If the tower is of another kind.
    """
    if not all(hasattr(tower, name) for name in ("_embeds", "transformer", "ln_post", "proj")):
        raise ModelError("This image tower gives no tokens. Show it crops of cells instead.")
    blocks = tower.transformer.resblocks
    x = tower._embeds(images)
    for block in blocks[:-1]:
        x = block(x)
    values = _values(blocks[-1], x)
    patches = tower.ln_post(values)[:, 1:]
    if tower.proj is not None:
        patches = patches @ tower.proj
    patches = patches / patches.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    found: Tensor = patches.unflatten(1, (tower.grid_size[0], -1))
    return found


def _values(block: Any, x: Tensor) -> Tensor:
    """The values of a block's attention, through its output projection, without mixing patches."""
    from torch.nn.functional import linear

    attention = block.attn
    width = attention.embed_dim
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[2 * width :]
    values: Tensor = linear(block.ln_1(x), attention.in_proj_weight[2 * width :], bias)
    projected: Tensor = attention.out_proj(values)
    return projected
