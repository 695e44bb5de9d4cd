"""Reading model weights in every layout they are published in.

Nothing but tensors is ever read: ``torch.load(weights_only=True)`` or safetensors, told apart by
the file's first bytes. Layouts, all of which become a plain state dict:

- a plain state dict (SAM, MedSAM, LiteMedSAM, open_clip, timm), as ``.pt`` or ``.safetensors``;
- ``{"model": ...}`` or ``{"state_dict": ...}`` of a training run, with or without ``module.``;
- ``{"model_state": ...}`` of torch_em with ``sam.`` (PathoSAM, micro-sam), which may hold a
  ``decoder_state`` beside it.

Names of another library are then changed by a map of `key_maps`; see `blueprint`.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoprompt.core.errors import WeightsError
from histoprompt.models.blueprint import WRAPPERS, Blueprint
from histoprompt.models.devices import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

_PREFIXES = ("module.", "sam.")

# How torch says that a file holds more than tensors.
_NOT_TENSORS = ("Unsupported global", "Unsupported class")

# Whatever torch and safetensors raise on a damaged file.
DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
    zlib.error,
    pickle.UnpicklingError,
)


def load_weights(blueprint: Blueprint, path: Path, title: str) -> Any:
    """Put the weights of a file into a network and make it ready for use.

    Parameters
    ----------
    blueprint : Blueprint
        Its network takes over the tensors of the file.
    path : Path
        The weights file.
    title : str
        The model's name in error messages.

    Returns
    -------
    torch.nn.Module
        The blueprint's network on the CPU, float32, in evaluation mode, without gradients.

    Raises
    ------
    WeightsError
        If the file is no checkpoint or holds another architecture.
    """
    state = blueprint.rename(read_state(path, blueprint.under))
    if fault := blueprint.misfit(state):
        raise WeightsError(f"{path} is no {title}: {fault}. Choose the file of this model.")
    blueprint.net.load_state_dict(state, strict=True, assign=True)
    return blueprint.net.float().eval().requires_grad_(requires_grad=False)


def read_state(path: Path, under: Sequence[str] = WRAPPERS) -> dict[str, Tensor]:
    """The tensors of a weights file.

    Parameters
    ----------
    path : Path
        The weights file.
    under : sequence of str
        As for `Blueprint`.

    Raises
    ------
    WeightsError
        If the file is no checkpoint, is damaged, or holds anything but tensors.
    """
    return _strip(_unwrap(_read(path, "cpu", str(path)), str(path), under))


def read_shapes(path: Path, under: Sequence[str] = WRAPPERS, origin: str = "") -> dict[str, Tensor]:
    """The tensors of a weights file without their values, which are not read into memory.

    Parameters
    ----------
    path, under
        As for `read_state`.
    origin : str
        Where the file came from, for messages.

    Returns
    -------
    dict of str to torch.Tensor
        On the meta device. Only a file of PyTorch before 1.6 is read whole.

    Raises
    ------
    WeightsError
        As for `read_state`.
    """
    name = origin or str(path)
    return _strip(_unwrap(_read(path, "meta", name), name, under))


def holds(path: Path, name: str) -> bool:
    """Whether a checkpoint has a table of tensors under this name; reads no values.

    Raises
    ------
    WeightsError
        As for `read_state`.
    """
    raw = _read(path, "meta", str(path))
    return isinstance(raw, Mapping) and isinstance(raw.get(name), Mapping)


def check_format(path: Path, origin: str = "") -> None:
    """Refuse a file whose first bytes are of no kind of weights; reads nothing else of it.

    Parameters
    ----------
    path : Path
    origin : str
        Where it came from, for the message.

    Raises
    ------
    WeightsError
        If it is neither a PyTorch checkpoint nor safetensors.
    """
    with path.open("rb") as file:
        head = file.read(9)
    if not (_is_safetensors(head) or head[:4] == b"PK\x03\x04" or head[:1] == b"\x80"):
        raise WeightsError(
            f"{origin or path} is not a weights file: it is neither a PyTorch checkpoint nor "
            "safetensors. Web pages saved under the file's name look like this; get the file again."
        )


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{"


def _read(path: Path, device: str, name: str) -> Any:
    """What the file holds, on the CPU or the meta device; its first bytes tell the format."""
    try:
        check_format(path, name)
        with path.open("rb") as file:
            head = file.read(9)
        if _is_safetensors(head):
            return _read_safetensors(path, device)
        # A zip can be mapped, so that what is not asked for stays on the disk.
        return _read_torch(path, device, name, mmap=device == "meta" and head[:2] == b"PK")
    except DAMAGE as error:
        if is_out_of_memory(error):
            raise
        raise WeightsError(
            f"{name} is damaged: {_first_line(error)}. Get the file again."
        ) from error


def _read_safetensors(path: Path, device: str) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        if device != "meta":
            return load_file(path)
        with safe_open(path, "pt") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def _read_torch(path: Path, device: str, name: str, *, mmap: bool) -> Any:
    import torch

    try:
        if path.suffix != ".safetensors":
            return torch.load(path, map_location=device, weights_only=True, mmap=mmap)
        # By this name torch would take a checkpoint for safetensors, whatever its bytes say.
        with path.open("rb") as file:
            return torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        if not any(text in str(error) for text in _NOT_TENSORS):
            raise
        raise WeightsError(
            f"{name} holds Python objects beside tensors, which could run code, so it is not "
            "opened. Export its state dict with torch.save(model.state_dict(), ...) and use that."
        ) from error


def _unwrap(raw: Any, name: str, under: Sequence[str]) -> dict[str, Tensor]:
    import torch

    for key in under:
        if isinstance(raw, Mapping) and isinstance(raw.get(key), Mapping):
            raw = raw[key]
            break
    if not isinstance(raw, Mapping) or not raw:
        raise WeightsError(f"{name} holds no table of tensors: it is no checkpoint of a model.")
    return {str(key): value for key, value in raw.items() if isinstance(value, torch.Tensor)}


def _strip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what training frameworks put before every name."""
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")[:200]
