"""Import torch so that the window neither freezes nor falls over.

Three things go wrong when torch is first imported in a process with a window:

- Mesa's OpenGL drivers bring their own LLVM, and triton (imported by torchvision by way of torch)
  has another built in. Its symbols bind to Mesa's, and the process ends with a segmentation fault.
  Loaded with ``RTLD_DEEPBIND`` it binds to its own.
- The interpreter holds its lock while it loads an extension module's libraries, a third of a
  second for torch. A foreign call does not hold it, and what is loaded is not loaded again.
- The import makes some 300,000 objects, and the garbage collector stops everything to look
  through all of them, several times and up to a fifth of a second each.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from histoprompt.core.garbage import collector_at_rest

# Packages whose windows draw with OpenGL, and so bring Mesa's LLVM.
_WINDOWS = {"vispy", "napari", "qtpy"}
_TORCH_LIBRARIES = ("libtorch_global_deps.so", "libtorch_cpu.so", "libtorch_cuda.so")


@contextlib.contextmanager
def smooth_import() -> Iterator[None]:
    """Within this, torch and what is built on it may be imported beside a living window.

    The garbage collector rests meanwhile; see `collector_at_rest`.
    """
    preload_torch()
    with collector_at_rest():
        yield


def preload_torch() -> None:
    """Load torch's libraries, and triton's where it may meet another LLVM; import neither.

    Call it before anything that may import torch. It does nothing elsewhere than on Linux, and
    what cannot be loaded is left to the import, which gives the better error.
    """
    # A window may come later than the first call: Mesa loads its drivers when it first draws.
    if sys.platform == "linux" and (_WINDOWS & sys.modules.keys() or has_foreign_llvm()):
        preload_triton()
    _preload_libraries()


@cache
def _preload_libraries() -> None:
    if sys.platform == "linux" and "torch" not in sys.modules:
        for name in _TORCH_LIBRARIES:
            for path in _files("torch", f"lib/{name}"):
                _dlopen(path, os.RTLD_LAZY)


@cache
def preload_triton() -> None:
    """Load triton's library bound to its own LLVM; imports nothing, and only on Linux.

    Call it before importing what brings an LLVM of its own, as tensorflow does: imported later,
    triton would end the process.
    """
    if sys.platform == "linux" and "triton" not in sys.modules:
        for path in _files("triton", "_C/libtriton*.so"):
            _dlopen(path, os.RTLD_NOW | os.RTLD_DEEPBIND)


def has_foreign_llvm() -> bool:
    """Whether a library of LLVM is part of this process, as it is beside Mesa's drivers."""
    return "libLLVM" in Path("/proc/self/maps").read_text()


def _files(package: str, pattern: str) -> list[Path]:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    return [path for folder in folders or () for path in Path(folder).glob(pattern)]


def _dlopen(path: Path, flags: int) -> None:
    """The C library's dlopen: `ctypes.CDLL(path)` would hold the interpreter's lock."""
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    dlopen(os.fsencode(path), flags)
