"""The layouts that weights are published in, made of a state dict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_sam import hugging_face_names

Save = Callable[[dict[str, Any], Path], None]


def saved_with(wrap: Callable[[dict[str, Any]], Any]) -> Save:
    def save(state: dict[str, Any], path: Path) -> None:
        import torch

        torch.save(wrap(state), path)

    return save


def _legacy(state: dict[str, Any], path: Path) -> None:
    import torch

    torch.save(state, path, _use_new_zipfile_serialization=False)


def _safetensors(rename: Callable[[dict[str, Any]], dict[str, Any]]) -> Save:
    def save(state: dict[str, Any], path: Path) -> None:
        from safetensors.torch import save_file

        save_file({k: v.contiguous() for k, v in rename(state).items()}, path)

    return save


def _prefixed(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {prefix + key: value for key, value in state.items()}


def _hf_with_both_positions(state: dict[str, Any]) -> dict[str, Any]:
    named = hugging_face_names(state)
    shared = "prompt_encoder.shared_embedding.positional_embedding"
    return {**named, shared: named["shared_image_embedding.positional_embedding"].clone()}


def _hf_with_the_other_position(state: dict[str, Any]) -> dict[str, Any]:
    named = _hf_with_both_positions(state)
    del named["shared_image_embedding.positional_embedding"]
    return named


LAYOUTS: dict[str, Save] = {
    "plain": saved_with(lambda s: s),
    "plain, before torch 1.6": _legacy,
    "training run": saved_with(
        lambda s: {"model": _prefixed("module.")(s), "optimizer": {"lr": 1e-4}, "epoch": 7}
    ),
    "state_dict": saved_with(lambda s: {"state_dict": s, "epoch": 7}),
    "torch_em": saved_with(lambda s: {"model_state": _prefixed("sam.")(s), "iteration": 7}),
    "plain safetensors": _safetensors(lambda s: s),
    "transformers": saved_with(_hf_with_both_positions),
    "transformers safetensors": _safetensors(hugging_face_names),
    "transformers safetensors, tied": _safetensors(_hf_with_the_other_position),
}
