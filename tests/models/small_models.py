"""Every model with weights of the registry, small and random, from a file as it is published.

The networks are those of the loaders, of a size that runs in milliseconds; their values are drawn
from a seed and saved under the names and in the layout of the published file. They are then loaded
through the path a user's file takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard
from histoprompt.models.networks import scribble_unet
from histoprompt.models.zoo import clip, sam, vit
from tiny_sam import SIDE, build_tiny_sam

State = dict[str, Any]

# The width must suit the ratios of the gated layers.
SMALL_VIT = {"depth": 2, "embed_dim": 96, "num_heads": 2}
SMALL_UNET = (16, 16, 16, 16)
SMALL_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tumor", "##s", "of", "the", "liver", "lymph", "##oid"]
SMALL_TEXT = {"words": len(WORDS), "places": 256, "width": 64, "layers": 2, "heads": 2}
SMALL_IMAGE = {"depth": 2, "embed_dim": 64, "num_heads": 2}
# Wide enough for the real instance decoder and for TinyViT's neck.
WIDE = 256


def needs_a_file(card: ModelCard) -> bool:
    """Whether the card's weights are not on this machine already."""
    return card.weights is not None and not weights.locate(card).present


def load_small(card: ModelCard, folder: Path) -> Any:
    """The small model of a card, loaded from the file `save_small` makes."""
    with small_networks():
        path = _SAVERS[_family(card)](card, folder)
        return registry.load_model(small_card(card), weights.resolve(card, path), "cpu")


def save_small(card: ModelCard, folder: Path) -> Path:
    """Random weights for a card in its published layout, under a name of the user's own."""
    with small_networks():
        return save_random(card, folder)


def save_random(card: ModelCard, folder: Path) -> Path:
    """As `save_small`, in the published size unless `small_networks` are in force."""
    return _SAVERS[_family(card)](card, folder)


def random_values(net: Any, scale: float = 0.1) -> State:
    """A state dict of the network's shapes with every value drawn at random.

    Wide layers get smaller values, so that what goes through a network of any size stays finite.
    """
    import torch

    generator = torch.Generator().manual_seed(4)
    state = {}
    for key, value in net.state_dict().items():
        wide = 2 * value[0].numel() ** -0.5 if value.ndim > 1 else scale
        drawn = torch.randn(value.shape, generator=generator) * min(scale, wide)
        state[key] = drawn.abs() + 0.5 if key.endswith("running_var") else drawn
        if not value.is_floating_point():
            state[key] = torch.zeros(value.shape, dtype=value.dtype)
    return state


@contextmanager
def small_networks() -> Iterator[None]:
    """Make the loaders build small networks of the same structure."""
    import open_clip
    from segment_anything import sam_model_registry

    with pytest.MonkeyPatch.context() as patch:
        for kind in ("vit_b", "vit_l", "vit_h"):
            patch.setitem(sam_model_registry, kind, partial(build_tiny_sam, channels=WIDE))
        for name, design in vit.ARCHITECTURES.items():
            small = replace(design, options={**design.options, **SMALL_VIT})
            patch.setitem(vit.ARCHITECTURES, name, small)
        patch.setattr(open_clip, "get_model_config", lambda _: {**SMALL_CLIP, "quick_gelu": True})
        small_unet = partial(scribble_unet.ScribbleUNet, SMALL_UNET)
        patch.setattr(scribble_unet, "ScribbleUNet", small_unet)
        full = clip.build_biomedclip
        patch.setattr(clip, "build_biomedclip", lambda: full(SMALL_IMAGE, SMALL_TEXT))
        yield


def _family(card: ModelCard) -> str:
    return card.loader.partition(":")[0].rpartition(".")[2]


def unchecked(card: ModelCard) -> ModelCard:
    """The card with companions of any digest, as random ones have another than the published."""
    return replace(card, others=tuple(replace(spec, digest=None) for spec in card.others))


def small_card(card: ModelCard) -> ModelCard:
    """Its input as small as its network, its companions by any digest."""
    card = unchecked(card)
    of_sam = _family(card) in {"sam", "medsam"} or card.id == "scribbleprompt-sam"
    return replace(card, input_size=SIDE) if of_sam else card


# ---------------------------------------------------------------------- published layouts


def _save(state: Any, path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def _sam_state(card: ModelCard) -> State:
    return random_values(sam.empty(card.architecture), 0.2)


def _save_sam(card: ModelCard, folder: Path) -> Path:
    return _save(_sam_state(card), folder / "mine.pth")


def _save_ais(card: ModelCard, folder: Path) -> Path:
    from histoprompt.models.networks.unetr import InstanceDecoder

    decoder = random_values(InstanceDecoder(), 0.02)
    if card.id.startswith("microsam"):  # as its training leaves it
        state = {f"sam.{key}": value for key, value in _sam_state(card).items()}
        return _save({"model_state": state, "decoder_state": decoder}, folder / "best.pt")
    _save(decoder, folder / card.others[0].filename)
    return _save_sam(card, folder)


def _save_scribbleprompt(card: ModelCard, folder: Path) -> Path:
    if card.id == "scribbleprompt-sam":
        return _save_sam(card, folder)
    return _save(random_values(scribble_unet.ScribbleUNet(), 0.1), folder / "mine.pt")


def _save_vit(card: ModelCard, folder: Path) -> Path:
    state = random_values(vit.build(vit.ARCHITECTURES[card.id]))
    suffix = Path(card.weights.filename).suffix
    return _save(dinov2_names(state) if card.id == "phikon-v2" else state, folder / f"mine{suffix}")


def _save_clip(card: ModelCard, folder: Path) -> Path:
    if card.id == "biomedclip":
        (folder / "vocab.txt").write_text("\n".join(WORDS))
        return _save(bert_names(random_values(clip.build_biomedclip())), folder / "mine.bin")
    state = random_values(clip.build(card.architecture))
    return _save(clip_names(state) if card.id == "plip" else state, folder / "mine.bin")


_SAVERS: dict[str, Callable[[ModelCard, Path], Path]] = {
    "sam": _save_sam,
    "medsam": _save_sam,
    "ais": _save_ais,
    "scribbleprompt": _save_scribbleprompt,
    "vit": _save_vit,
    "clip": _save_clip,
}


# ---------------------------------------------------------------------- names of transformers


def _split(state: State, stem: str, parts: tuple[str, str, str]) -> State:
    """Undo the joining of query, key and value."""
    out: State = {}
    for key, value in state.items():
        before, found, kind = key.partition(stem)
        if not found:
            out[key] = value
            continue
        for name, part in zip(parts, value.chunk(3), strict=True):
            out[f"{before}{name}.{kind}"] = part
    return out


def _replaced(state: State, *pairs: tuple[str, str]) -> State:
    out = {}
    for key, value in state.items():
        for old, new in pairs:
            key = key.replace(old, new)  # noqa: PLW2901
        out[key] = value
    return out


def dinov2_names(state: State) -> State:
    """As ``Dinov2Model`` has them."""
    import torch

    parts = tuple(f".attention.attention.{p}" for p in ("query", "key", "value"))
    named = _replaced(
        _split(state, ".attn.qkv.", parts),
        ("cls_token", "embeddings.cls_token"),
        ("pos_embed", "embeddings.position_embeddings"),
        ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
        ("blocks.", "encoder.layer."),
        (".attn.proj.", ".attention.output.dense."),
        (".ls1.gamma", ".layer_scale1.lambda1"),
        (".ls2.gamma", ".layer_scale2.lambda1"),
    )
    final = {
        k.replace("norm.", "layernorm.") if k.startswith("norm.") else k: v
        for k, v in named.items()
    }
    return {**final, "embeddings.mask_token": torch.zeros(1, SMALL_VIT["embed_dim"])}


def clip_names(state: State) -> State:
    """As ``CLIPModel`` has them, with the buffers of its older versions."""
    import torch

    parts = tuple(f".self_attn.{p}_proj" for p in "qkv")
    named = _replaced(
        _split(state, ".attn.in_proj_", parts),
        (".attn.out_proj", ".self_attn.out_proj"),
        (".ln_1.", ".layer_norm1."),
        (".ln_2.", ".layer_norm2."),
        (".mlp.c_fc.", ".mlp.fc1."),
        (".mlp.c_proj.", ".mlp.fc2."),
        ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
        ("visual.ln_pre.", "vision_model.pre_layrnorm."),
        ("visual.ln_post.", "vision_model.post_layernorm."),
        ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
        ("visual.conv1.", "vision_model.embeddings.patch_embedding."),
        ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    )
    out: State = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    for key, value in named.items():
        if key in {"visual.proj", "text_projection"}:
            out[{"visual.proj": "visual_projection"}.get(key, key) + ".weight"] = value.T
        elif key.startswith("transformer.resblocks."):
            out["text_model.encoder.layers." + key.removeprefix("transformer.resblocks.")] = value
        else:
            other = {
                "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
                "positional_embedding": "text_model.embeddings.position_embedding.weight",
            }
            out[other.get(key, key.replace("ln_final.", "text_model.final_layer_norm."))] = value
    return out


def bert_names(state: State) -> State:
    """As open_clip saves a text tower that is a ``BertModel``."""
    parts = tuple(f".attention.self.{p}" for p in ("query", "key", "value"))
    text = {k: v for k, v in state.items() if k.startswith("text.")}
    named = _replaced(
        _split(text, ".self_attn.in_proj_", parts),
        ("encoder.layers.", "encoder.layer."),
        (".self_attn.out_proj.", ".attention.output.dense."),
        (".norm1.", ".attention.output.LayerNorm."),
        (".linear1.", ".intermediate.dense."),
        (".linear2.", ".output.dense."),
        (".norm2.", ".output.LayerNorm."),
    )
    return {**{k: v for k, v in state.items() if k not in text}, **named}
