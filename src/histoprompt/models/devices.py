"""How much memory a device has and uses, and which device to work on.

The only file outside the zoo that touches torch, and only inside functions.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from histoprompt.core.errors import ModelError, Remedy
from histoprompt.models.preload import smooth_import

MIB = 2**20

# What torch, CUDA libraries and numpy write when memory is short, in lower case.
_OUT_OF_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


class Meter(Protocol):
    """Reads the memory of one device; every figure is in MiB."""

    @property
    def exact(self) -> bool:
        """Whether `used_mib` counts tensors only, not whatever else the process does."""

    def free_mib(self) -> float:
        """What could be used now, by this process."""

    def used_mib(self) -> float:
        """In use by this process."""

    def reset_peak(self) -> None:
        """Forget the highest use so far."""

    def peak_mib(self) -> float:
        """Highest use since `reset_peak`."""

    def empty_cache(self) -> None:
        """Give back memory that is kept but not used."""


class RamMeter:
    """Main memory: the resident size of this process.

    Where the system keeps no peak that can be reset (everywhere but Linux) the peak is the use at
    the time of asking, which is too low; a real out-of-memory error is still handled.
    """

    exact = False

    def __init__(self) -> None:
        self._resettable = False

    def free_mib(self) -> float:
        """What the system would give without swapping."""
        return float(psutil.virtual_memory().available) / MIB

    def used_mib(self) -> float:
        """Resident size of the process."""
        return float(psutil.Process().memory_info().rss) / MIB

    def reset_peak(self) -> None:
        """Forget the peak, where the system allows it."""
        try:
            # "5" resets the peak resident size and nothing else: see proc(5).
            Path("/proc/self/clear_refs").write_text("5")
            self._resettable = True
        except OSError:
            self._resettable = False

    def peak_mib(self) -> float:
        """Peak since `reset_peak`, or the use now."""
        return max(_peak_resident_mib() if self._resettable else 0.0, self.used_mib())

    def empty_cache(self) -> None:
        """The interpreter gives memory back by itself."""


def _peak_resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class CudaMeter:
    """Memory of one NVIDIA (or ROCm) GPU as torch's allocator counts it."""

    exact = True

    def __init__(self, device: str = "cuda") -> None:
        torch = _torch()
        self._cuda = torch.cuda
        self._device = torch.device(device)

    def free_mib(self) -> float:
        """Free on the device, and what torch's allocator keeps unused."""
        free, _ = self._cuda.mem_get_info(self._device)
        cached = self._cuda.memory_reserved(self._device) - self._cuda.memory_allocated(
            self._device
        )
        return float(free + cached) / MIB

    def used_mib(self) -> float:
        """Allocated to tensors."""
        return float(self._cuda.memory_allocated(self._device)) / MIB

    def reset_peak(self) -> None:
        """Forget the allocator's peak."""
        self._cuda.reset_peak_memory_stats(self._device)

    def peak_mib(self) -> float:
        """The allocator's peak since `reset_peak`."""
        return float(self._cuda.max_memory_allocated(self._device)) / MIB

    def empty_cache(self) -> None:
        """Return unused blocks to the device."""
        self._cuda.empty_cache()


class MpsMeter:
    """Memory of an Apple GPU; it keeps no peak, so the peak is the use at the time of asking."""

    exact = True

    def __init__(self) -> None:
        self._mps = _torch().mps

    def free_mib(self) -> float:
        """What the system recommends at most, less what the driver holds."""
        allowed = self._mps.recommended_max_memory() - self._mps.driver_allocated_memory()
        return max(float(allowed), 0.0) / MIB

    def used_mib(self) -> float:
        """Allocated to tensors."""
        return float(self._mps.current_allocated_memory()) / MIB

    def reset_peak(self) -> None:
        """No peak is kept."""

    def peak_mib(self) -> float:
        """The use now."""
        return self.used_mib()

    def empty_cache(self) -> None:
        """Return unused blocks to the system."""
        self._mps.empty_cache()


def meter_for(device: str) -> Meter:
    """The meter of a device as `choose_device` names it."""
    if device.startswith("cuda"):
        return CudaMeter(device)
    return MpsMeter() if device == "mps" else RamMeter()


def choose_device(requested: str) -> str:
    """Turn a wish into a device that is there.

    Parameters
    ----------
    requested : str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"`` or ``"auto"``.

    Returns
    -------
    str
        What torch calls the device. For ``"auto"`` the GPU if torch can use one, else ``"cpu"``.
        torch is imported only if a GPU was asked for or seems to be there.

    Raises
    ------
    ModelError
        If the device is not there or not known.
    """
    if requested == "cpu" or (requested == "auto" and not gpu_in_sight()):
        return "cpu"
    if requested == "auto":
        return "cuda" if _cuda_count() else "mps" if _has_mps() else "cpu"
    if requested == "mps" and _has_mps():
        return "mps"
    kind, _, index = requested.partition(":")
    if kind == "cuda" and index in {"", *map(str, range(_cuda_count()))} and _cuda_count():
        return requested
    raise _missing_device(requested)


def gpu_in_sight() -> bool:
    """Whether the machine seems to have a GPU; asks no library, so it is quick and may be wrong."""
    nodes = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
    return (
        sys.platform == "darwin"
        or shutil.which("nvidia-smi") is not None
        or any(node.exists() for node in nodes)
    )


def _torch() -> Any:
    with smooth_import():
        import torch

    return torch


def _cuda_count() -> int:
    cuda = _torch().cuda
    return int(cuda.device_count()) if cuda.is_available() else 0


def _has_mps() -> bool:
    return bool(_torch().backends.mps.is_available())


def _missing_device(requested: str) -> ModelError:
    if requested.partition(":")[0] not in {"cuda", "mps"}:
        return ModelError(f"Device {requested!r} is not known: use cpu, cuda, cuda:N, mps or auto.")
    return ModelError(
        f"Device {requested!r} was asked for, but torch {_torch().__version__} finds "
        f"{_cuda_count()} CUDA devices and {'an' if _has_mps() else 'no'} Apple GPU. "
        "Use cpu or auto.",
        remedy=Remedy.CHECK_UP,
    )


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """What torch was built for and what it finds.

    Attributes
    ----------
    version : str
    cuda : str or None
        The CUDA version it was built for; None for a processor-only (or ROCm) build.
    devices : tuple of str
        Names of the GPUs it can use.
    """

    version: str
    cuda: str | None
    devices: tuple[str, ...]


def torch_build() -> TorchBuild:
    """Ask torch about itself; imports it."""
    torch = _torch()
    names = [torch.cuda.get_device_name(i) for i in range(_cuda_count())]
    if _has_mps():
        names.append("Apple GPU")
    return TorchBuild(torch.__version__, torch.version.cuda, tuple(names))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, whichever library raised it.

    True for MemoryError (numpy's included) and for a RuntimeError whose text says so, of which
    ``torch.cuda.OutOfMemoryError`` is one.
    """
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(t in text for t in _OUT_OF_MEMORY_TEXTS)


def tensor_mib(model: Any) -> float:
    """MiB of the parameters and buffers of a torch module, or of the modules a model holds.

    Modules are looked for in a model's attributes and in theirs; a tensor that several of them
    share counts once. Duck-typed: anything with `parameters()` and `buffers()` counts, so no torch
    is needed.
    """
    tensors = {id(t): t for net in modules_in(model) for t in [*net.parameters(), *net.buffers()]}
    return float(sum(t.numel() * t.element_size() for t in tensors.values())) / MIB


def modules_in(model: Any, depth: int = 2) -> list[Any]:
    """The torch modules of a model: itself, or those in its attributes, so many levels down."""
    if callable(getattr(model, "parameters", None)) and callable(getattr(model, "buffers", None)):
        return [model]
    if not depth or not hasattr(model, "__dict__"):
        return []
    return [net for value in vars(model).values() for net in modules_in(value, depth - 1)]
