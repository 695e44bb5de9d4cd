"""Vectors of a fixed list of texts, kept on disk: an encoder takes seconds for some hundred."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ExportError
from histoprompt.core.files.atomic import replacing_file

Float = NDArray[np.float32]
# Of the digest that names a list of texts.
_DIGITS = 32


def kept_vectors(
    folder: Path, texts: Sequence[str], embed: Callable[[Sequence[str]], Float]
) -> Float:
    """The vectors (n, d) float32 of n texts, made once for each list of texts.

    A file that is damaged is made anew; where none can be written, vectors are made every time.

    Parameters
    ----------
    folder : Path
        Of one encoder with one set of weights.
    texts : sequence of str
    embed : callable
        Gives the vectors of texts.
    """
    name = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:_DIGITS]
    path = folder / f"{name}.npy"
    found = _read(path, len(texts))
    if found is None:
        found = np.asarray(embed(texts), np.float32)
        with (
            contextlib.suppress(ExportError),
            replacing_file(path) as part,
            part.open("wb") as file,
        ):
            np.save(file, found, allow_pickle=False)
    return found


def _read(path: Path, count: int) -> Float | None:
    """Vectors of a file; None if there is none, or it holds anything else."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    right = isinstance(found, np.ndarray) and found.dtype == np.float32
    if not right or found.ndim != 2 or len(found) != count or not np.isfinite(found).all():
        return None
    return np.asarray(found, np.float32)
