"""SAM's own classes at a size that runs in milliseconds, with weights from a seed."""

from __future__ import annotations

from functools import partial
from typing import Any

SIDE = 128


def build_tiny_sam(checkpoint: None = None, *, width: int = 32, channels: int = 32) -> Any:
    """A `Sam` of the same structure as ViT-B: 128 px, grid of 8 x 8, logits of 32 x 32."""
    import torch
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    grid = SIDE // 16
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=2,
            embed_dim=width,
            img_size=SIDE,
            mlp_ratio=2,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=2,
            patch_size=16,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=[1],
            window_size=3,
            out_chans=channels,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=64, num_heads=4),
            transformer_dim=channels,
            iou_head_depth=3,
            iou_head_hidden_dim=32,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).eval()


def random_tiny_sam(seed: int = 4, width: int = 32) -> Any:
    """`build_tiny_sam` with every value drawn at random, so that no part can be left out unseen."""
    import torch

    net = build_tiny_sam(width=width)
    generator = torch.Generator().manual_seed(seed)
    for value in net.state_dict().values():
        value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return net


def hugging_face_names(state: dict[str, Any]) -> dict[str, Any]:
    """The same tensors under the names of transformers' ``SamModel``."""
    return {_hugging_face_name(key): value for key, value in state.items()}


def _hugging_face_name(key: str) -> str:
    parts = key.split(".")
    if "positional_encoding_gaussian_matrix" in key:
        return "shared_image_embedding.positional_embedding"
    if parts[0] == "image_encoder":
        parts[0] = "vision_encoder"
        if parts[1] == "blocks":
            parts[1] = "layers"
            parts[3] = {"norm1": "layer_norm1", "norm2": "layer_norm2"}.get(parts[3], parts[3])
        elif parts[1] == "patch_embed":
            parts[2] = "projection"
        elif parts[1] == "neck":
            parts[2] = ("conv1", "layer_norm1", "conv2", "layer_norm2")[int(parts[2])]
    elif parts[1] == "point_embeddings":
        parts[1] = "point_embed"
    elif parts[1] == "mask_downscaling":
        name = {0: "conv1", 1: "layer_norm1", 3: "conv2", 4: "layer_norm2", 6: "conv3"}
        parts[1:3] = ["mask_embed", name[int(parts[2])]]
    elif parts[1] == "output_upscaling":
        name = {0: "upscale_conv1", 1: "upscale_layer_norm", 3: "upscale_conv2"}
        parts[1:3] = [name[int(parts[2])]]
    elif parts[1] == "output_hypernetworks_mlps":
        parts[3:5] = [("proj_in", "layers.0", "proj_out")[int(parts[4])]]
    elif parts[1] == "iou_prediction_head":
        parts[2:4] = [("proj_in", "layers.0", "proj_out")[int(parts[3])]]
    elif parts[1] == "transformer":
        parts = [p.replace("norm", "layer_norm") if p.startswith("norm") else p for p in parts]
    return ".".join(parts)
