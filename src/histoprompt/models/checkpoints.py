"""Reading model weights in every layout they are published in.

Nothing but tensors is ever read: ``torch.load(weights_only=True)`` or safetensors, told apart by
the file's first bytes. Layouts, all of which become a plain state dict:

- a plain state dict (SAM, MedSAM, LiteMedSAM, open_clip, timm), as ``.pt`` or ``.safetensors``;
- ``{"model": ...}`` or ``{"state_dict": ...}`` of a training run, with or without ``module.``;
- ``{"model_state": ...}`` of torch_em with ``sam.`` (PathoSAM, micro-sam), which may hold a
  ``decoder_state`` beside it.

Names of another library are then changed by a map of `key_maps`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from histoprompt.core.errors import WeightsError
from histoprompt.models import key_maps
from histoprompt.models.memory import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor, nn

    Net = TypeVar("Net", bound=nn.Module)

_WRAPPERS = ("model_state", "state_dict", "model")
_PREFIXES = ("module.", "sam.")

# How torch says that a file holds more than tensors.
_NOT_TENSORS = ("Unsupported global", "Unsupported class")

# Whatever torch and safetensors raise on a damaged file.
_DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    pickle.UnpicklingError,
)


def load_weights(
    net: Net,
    path: Path,
    title: str,
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] = key_maps.to_segment_anything,
    under: Sequence[str] = _WRAPPERS,
) -> Net:
    """Put the weights of a file into a network and make it ready for use.

    Parameters
    ----------
    net : torch.nn.Module
        May be on the meta device; it takes over the tensors of the file.
    path : Path
        The weights file.
    title : str
        The model's name in error messages.
    rename : callable
        Gives the tensors of a file the names of the network; names it knows already stay.
    under : sequence of str
        As for `read_state`.

    Returns
    -------
    torch.nn.Module
        `net` on the CPU, float32, in evaluation mode, without gradients.

    Raises
    ------
    WeightsError
        If the file is no checkpoint or holds another architecture.
    """
    state = rename(read_state(path, under))
    _check_fit(net, state, path, title)
    net.load_state_dict(state, strict=True, assign=True)
    return net.float().eval().requires_grad_(requires_grad=False)


def read_state(path: Path, under: Sequence[str] = _WRAPPERS) -> dict[str, Tensor]:
    """The tensors of a weights file.

    Parameters
    ----------
    path : Path
        The weights file.
    under : sequence of str
        Where the tensors may stand in the file, the first that is there counts; else they are
        the file.

    Raises
    ------
    WeightsError
        If the file is no checkpoint, is damaged, or holds anything but tensors.
    """
    return _strip(_unwrap(_read(path), path, under))


def holds(path: Path, name: str) -> bool:
    """Whether a checkpoint has a table of tensors under this name.

    Raises
    ------
    WeightsError
        As for `read_state`.
    """
    raw = _read(path)
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


def _read(path: Path) -> Any:
    """What the file holds; its first bytes tell the format."""
    try:
        check_format(path)
        with path.open("rb") as file:
            head = file.read(9)
        return _read_safetensors(path) if _is_safetensors(head) else _read_torch(path)
    except _DAMAGE as error:
        if is_out_of_memory(error):
            raise
        raise WeightsError(
            f"{path} is damaged: {_first_line(error)}. Get the file again."
        ) from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not any(text in str(error) for text in _NOT_TENSORS):
            raise
        raise WeightsError(
            f"{path} holds Python objects beside tensors, which could run code, so it is not "
            "opened. Export its state dict with torch.save(model.state_dict(), ...) and use that."
        ) from error


def _unwrap(raw: Any, path: Path, under: Sequence[str]) -> dict[str, Tensor]:
    import torch

    for name in under:
        if isinstance(raw, Mapping) and isinstance(raw.get(name), Mapping):
            raw = raw[name]
            break
    if not isinstance(raw, Mapping) or not raw:
        raise WeightsError(f"{path} holds no table of tensors: it is no checkpoint of a model.")
    return {str(key): value for key, value in raw.items() if isinstance(value, torch.Tensor)}


def _strip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what training frameworks put before every name."""
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _check_fit(net: nn.Module, state: dict[str, Tensor], path: Path, title: str) -> None:
    """Refuse weights of another architecture, in one line."""
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in state.items()}
    missing = [key for key in wanted if key not in given]
    unknown = [key for key in given if key not in wanted]
    shapes = [
        f"{key} is {given[key]} instead of {wanted[key]}"
        for key in wanted
        if key in given and given[key] != wanted[key]
    ]
    faults = [
        _some("tensors are missing", missing, len(wanted)),
        _some("do not belong to it", unknown, len(given)),
        _some("have another shape", shapes, len(wanted)),
    ]
    if found := "; ".join(fault for fault in faults if fault):
        raise WeightsError(f"{path} is no {title}: {found}. Choose the file of this model.")


def _some(what: str, items: list[str], total: int) -> str:
    """How many, with the first as an example."""
    return f"{len(items)} of {total} {what} ({items[0]})" if items else ""


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")[:200]
