"""The two-way transformer of SAM's mask decoder, at less than half the cost.

A handful of prompt tokens and thousands of image tokens attend to each other, and the published
code projects every image token for it, four times a layer. As q . (W k) = (W^T q) . k, projecting
the few prompt tokens by the transposed matrix gives the same scores, and in the same way values are
averaged before they are projected. Image tokens that all prompts share are read once, and laying
scores out with the image last keeps every step in long runs of memory.

The modules and their weights are those of ``segment_anything.modeling.transformer``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def two_way(
    transformer: Any, image: Tensor, places: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Let prompts and image attend to each other.

    Parameters
    ----------
    transformer : segment_anything.modeling.TwoWayTransformer
        Gives the layers.
    image : (1 or n, p, c)
        Image tokens, shared by all prompts or one set for each.
    places : (1, p, c)
        Their positional encoding.
    tokens : (n, t, c)
        Output tokens and embedded prompts; they are their own positional encoding.

    Returns
    -------
    tokens : (n, t, c)
    image : (n, p, c)
    """
    queries, keys = tokens, image
    for layer in transformer.layers:
        queries = layer.norm1(_self_attention(layer, queries, tokens))
        placed = keys + places
        queries = layer.norm2(
            queries + _read_image(layer.cross_attn_token_to_image, queries + tokens, placed, keys)
        )
        queries = layer.norm3(queries + layer.mlp(queries))
        keys = layer.norm4(
            _write_image(layer.cross_attn_image_to_token, placed, queries + tokens, queries) + keys
        )
    queries = queries + _read_image(
        transformer.final_attn_token_to_image, queries + tokens, keys + places, keys
    )
    return transformer.norm_final_attn(queries), keys


def _self_attention(layer: Any, queries: Tensor, tokens: Tensor) -> Tensor:
    if layer.skip_first_layer_pe:
        return layer.self_attn(q=queries, k=queries, v=queries)  # type: ignore[no-any-return]
    placed = queries + tokens
    return queries.add(layer.self_attn(q=placed, k=placed, v=queries))


def _read_image(attention: Any, queries: Tensor, placed: Tensor, values: Tensor) -> Tensor:
    """(n, t, c): what each token takes from the image.

    The bias of the keys adds the same to all scores of a token, so the softmax ignores it.
    """
    query = _split(attention.q_proj(queries), attention)
    n, heads, t, _ = query.shape
    scores = _scores(query @ _by_head(attention.k_proj, attention), placed, query.shape[-1])
    taken = (scores.softmax(dim=-1) @ values).view(n, heads, t, -1)
    value = taken @ _by_head(attention.v_proj, attention).mT
    merged = value.transpose(1, 2).flatten(2) + attention.v_proj.bias
    return attention.out_proj(merged)  # type: ignore[no-any-return]


def _write_image(attention: Any, placed: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(n, p, c): what each image token takes from the prompt's tokens."""
    import torch

    key = _split(attention.k_proj(keys), attention)
    value = _split(attention.v_proj(values), attention)
    n, heads, t, d = key.shape
    scores = _scores(key @ _by_head(attention.q_proj, attention), placed, d)
    bias = (key @ attention.q_proj.bias.view(heads, d, 1)).view(n, heads * t, 1) / d**0.5
    weights = (scores + bias).view(n, heads, t, -1).softmax(dim=2).flatten(1, 2)
    out = attention.out_proj.weight.unflatten(1, (heads, d)).permute(1, 2, 0)
    return torch.bmm(weights.mT, (value @ out).flatten(1, 2)).add_(attention.out_proj.bias)


def _scores(folded: Tensor, placed: Tensor, width: int) -> Tensor:
    """(n, heads * t, p): folded tokens (n, heads, t, c) against the image (1 or n, p, c)."""
    import torch

    rows = folded.flatten(1, 2) / width**0.5
    if len(placed) == 1:
        return torch.mm(rows.flatten(0, 1), placed[0].T).view(*rows.shape[:2], -1)
    return torch.bmm(rows, placed.mT)


def _split(projected: Any, attention: Any) -> Tensor:
    """(n, t, heads * d) to (n, heads, t, d)."""
    by_head: Tensor = projected.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    return by_head


def _by_head(projection: Any, attention: Any) -> Tensor:
    """(heads, d, c): the rows of a projection that belong to each head."""
    weight: Tensor = projection.weight.unflatten(0, (attention.num_heads, -1))
    return weight
