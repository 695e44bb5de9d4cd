"""Vectors of tiles that were looked at elsewhere: on disk, so that many workers share a slide.

A store of embeddings has one writer. So workers put the vectors of their tiles here, a file per
batch, and the one that has the store takes them in. A batch is what a model is given at once, and
the batches are those of a look at all tiles: what a vector is does not depend on who made it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.own_folder import own_folder
from histoprompt.pipelines.embedding.embedding_store import StoreKey

# Where they lie in the folder of a step's results until it is complete.
AHEAD = ".ahead"


class VectorsAhead:
    """The looked-at batches of a slide.

    Parameters
    ----------
    folder : Path
        Of the results of a step.
    """

    def __init__(self, folder: Path) -> None:
        self._root = own_folder(folder / AHEAD)

    def has(self, key: StoreKey, places: NDArray[np.int32]) -> bool:
        """Whether a batch was looked at, by the (n, 2) places of its tiles."""
        return self._path(key, places).is_file()

    def put(self, key: StoreKey, places: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Keep (n, d) vectors of a batch; raises `ExportError` if the disk is full."""
        with replacing_file(self._path(key, places)) as part, part.open("wb") as file:
            np.savez(file, places=places, vectors=vectors)

    def take(self, key: StoreKey, places: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """The vectors of a batch; None if it was not looked at, or its file is damaged."""
        try:
            with np.load(self._path(key, places), allow_pickle=False) as kept:
                vectors = np.asarray(kept["vectors"], np.float32)
                same = np.array_equal(kept["places"], places) and len(vectors) == len(places)
                return vectors if same else None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def clear(self) -> None:
        """Remove all batches: the step is complete."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _path(self, key: StoreKey, places: NDArray[np.int32]) -> Path:
        digest = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest()[:24]
        row, col = places[0]
        return self._root / digest / f"{row}-{col}-{len(places)}.npz"


def batches(places: NDArray[np.int32], size: int) -> Iterator[NDArray[np.int32]]:
    """Tiles as they are given to a model: (n, 2) places, `size` at a time."""
    for start in range(0, len(places), size):
        yield places[start : start + size]


def shared(count: int, share: tuple[int, int]) -> range:
    """Which of so many batches are those of a share: some that follow each other.

    Parameters
    ----------
    count : int
    share : (int, int)
        Which one, from 0, of how many.
    """
    return range(*(count * (share[0] + i) // share[1] for i in (0, 1)))
