"""Names of weights in one library as names in another.

Each map takes a state dict and returns one; names it does not know stay as they are, so a file
that has the right names already passes through. Tensors are joined or turned where the libraries
keep them differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

State: TypeAlias = "dict[str, Tensor]"
Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(pairs: Iterable[tuple[str, str]]) -> Rules:
    return tuple((re.compile(pattern), name) for pattern, name in pairs)


# Hugging Face SamModel -> segment_anything, in this order.
_SAM = _rules(
    (
        (
            r"^(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding$",
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        ),
        (r"^vision_encoder\.", "image_encoder."),
        (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
        (r"^image_encoder\.layers\.(\d+)\.", r"image_encoder.blocks.\1."),
        (r"\.neck\.conv1\.", ".neck.0."),
        (r"\.neck\.layer_norm1\.", ".neck.1."),
        (r"\.neck\.conv2\.", ".neck.2."),
        (r"\.neck\.layer_norm2\.", ".neck.3."),
        (r"\.point_embed\.", ".point_embeddings."),
        (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
        (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
        (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
        (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
        (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
        (r"\.upscale_conv1\.", ".output_upscaling.0."),
        (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
        (r"\.upscale_conv2\.", ".output_upscaling.3."),
        (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
        (r"\.layer_norm(\d)\.", r".norm\1."),
        # The heads of three layers: Hugging Face names the first and last, and counts the rest.
        (r"(_mlps\.\d+|iou_prediction_head)\.layers\.0\.", r"\1.layers.1."),
        (r"(_mlps\.\d+|iou_prediction_head)\.proj_in\.", r"\1.layers.0."),
        (r"(_mlps\.\d+|iou_prediction_head)\.proj_out\.", r"\1.layers.2."),
    )
)

# Hugging Face CLIPModel -> open_clip, in this order.
_CLIP = _rules(
    (
        (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
        (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
        (r"^text_model\.final_layer_norm\.", "ln_final."),
        (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
        (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
        (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
        (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
        (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
        (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
        (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
        (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
        (r"\.self_attn\.in_proj_", ".attn.in_proj_"),
        (r"\.layer_norm([12])\.", r".ln_\1."),
        (r"\.mlp\.fc1\.", ".mlp.c_fc."),
        (r"\.mlp\.fc2\.", ".mlp.c_proj."),
        (r"^text_projection\.weight$", "text_projection"),
        (r"^visual_projection\.weight$", "visual.proj"),
    )
)

# Hugging Face Dinov2Model -> timm.
_DINOV2 = _rules(
    (
        (r"^embeddings\.cls_token$", "cls_token"),
        (r"^embeddings\.position_embeddings$", "pos_embed"),
        (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
        (r"^encoder\.layer\.", "blocks."),
        (r"\.attention\.output\.dense\.", ".attn.proj."),
        (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
        (r"^layernorm\.", "norm."),
    )
)

# Hugging Face BertModel inside an open_clip text tower -> `zoo.bert`.
_BERT = _rules(
    (
        (r"^text\.transformer\.encoder\.layer\.", "text.transformer.encoder.layers."),
        (r"\.attention\.output\.dense\.", ".self_attn.out_proj."),
        (r"\.attention\.output\.LayerNorm\.", ".norm1."),
        (r"\.intermediate\.dense\.", ".linear1."),
        (r"(\.layers\.\d+)\.output\.dense\.", r"\1.linear2."),
        (r"(\.layers\.\d+)\.output\.LayerNorm\.", r"\1.norm2."),
    )
)

# efficientnet_lite_pytorch -> `networks.efficientnet.Encoder`, whose blocks are counted by stage.
_LITE = _rules(
    (
        (r"^_conv_stem\.", "stem.0."),
        (r"^_bn0\.", "stem.1."),
        (r"\._expand_conv\.", ".expand.0."),
        (r"\._bn0\.", ".expand.1."),
        (r"\._depthwise_conv\.", ".each.0."),
        (r"\._bn1\.", ".each.1."),
        (r"\._project_conv\.", ".project.0."),
        (r"\._bn2\.", ".project.1."),
    )
)
_LITE_BLOCK = re.compile(r"^_blocks\.(\d+)\.")

_CLIP_QKV = re.compile(r"^(.*\.self_attn)\.([qkv])_proj\.(weight|bias)$")
_DINOV2_QKV = re.compile(r"^(.*)\.attention\.attention\.(query|key|value)\.(weight|bias)$")
_BERT_QKV = re.compile(r"^(.*)\.attention\.self\.(query|key|value)\.(weight|bias)$")


def to_segment_anything(state: State) -> State:
    """Of transformers' ``SamModel``."""
    if not any(key.startswith("vision_encoder.") for key in state):
        return state
    return _renamed(state, _SAM)


def to_open_clip(state: State) -> State:
    """Of transformers' ``CLIPModel``, for architectures whose text tower is CLIP's own."""
    if "text_model.final_layer_norm.weight" not in state:
        return state
    kept = {k: v for k, v in state.items() if not k.endswith(".position_ids")}
    found = _renamed(_joined(kept, _CLIP_QKV, r"{0}.in_proj_{1}"), _CLIP)
    for key in ("text_projection", "visual.proj"):
        if key in found:
            found[key] = found[key].T.contiguous()
    return found


def to_timm_vit(state: State) -> State:
    """Of transformers' ``Dinov2Model``; what only its training needs is left out."""
    kept = {k: v for k, v in state.items() if not k.endswith("mask_token")}
    return _renamed(_joined(kept, _DINOV2_QKV, r"{0}.attn.qkv.{1}"), _DINOV2)


def to_biomedclip(state: State) -> State:
    """Of open_clip with transformers' ``BertModel`` as text tower."""
    kept = {k: v for k, v in state.items() if not k.endswith(".position_ids")}
    return _renamed(_joined(kept, _BERT_QKV, r"{0}.self_attn.in_proj_{1}"), _BERT)


def to_lite_encoder(state: State, blocks: Sequence[int]) -> State:
    """Of efficientnet_lite_pytorch, as far as stages of so many blocks; the rest is left out."""
    if "_conv_stem.weight" not in state:
        return state
    places = [f"stages.{s}.{k}." for s, count in enumerate(blocks) for k in range(count)]
    found: State = {}
    for key, value in state.items():
        block = _LITE_BLOCK.match(key)
        if block is None and key.startswith(("_conv_stem.", "_bn0.")):
            found[_new_name(key, _LITE)] = value
        elif block is not None and int(block[1]) < len(places):
            place = places[int(block[1])]
            found[_new_name(place + key[block.end() :], _LITE)] = value
    return found


def to_bert(state: State) -> State:
    """Of transformers' ``BertModel`` by itself; its pooler is left out."""
    inside = "text.transformer."
    kept = {
        f"{inside}{key}": value
        for key, value in state.items()
        if not key.startswith("pooler.") and not key.endswith(".position_ids")
    }
    return {key.removeprefix(inside): value for key, value in to_biomedclip(kept).items()}


def _renamed(state: State, rules: Rules) -> State:
    return {_new_name(key, rules): value for key, value in state.items()}


def _new_name(key: str, rules: Rules) -> str:
    for pattern, name in rules:
        key = pattern.sub(name, key)
    return key


def _joined(state: State, parts: re.Pattern[str], name: str) -> State:
    """Query, key and value stacked in this order under one name; all else untouched."""
    import torch

    found: dict[str, dict[str, Tensor]] = {}
    rest: State = {}
    for key, value in state.items():
        if match := parts.match(key):
            found.setdefault(name.format(match[1], match[3]), {})[match[2][0]] = value
        else:
            rest[key] = value
    for key, three in found.items():
        rest[key] = torch.cat([three[part] for part in "qkv" if part in three])
    return rest
