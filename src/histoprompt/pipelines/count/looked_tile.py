"""Tiles that were looked at before they are counted: on disk, so that many workers share a slide.

Where cells of two tiles meet, the tile that is counted first decides. So workers only look: they
find the cells of their tiles and measure them. One process then counts the tiles in their order,
and what it makes of them is what it would have made of them alone, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.geometry import Box, Frame
from histoprompt.pipelines.cells.find import TileCells

# Where looked-at tiles lie in the folder of a count until it is complete.
AHEAD = ".ahead"


@dataclass(frozen=True, eq=False)
class LookedTile:
    """What was found in a tile before anything is drawn.

    Attributes
    ----------
    found : TileCells
        The cells that the tile owns and the region holds; from a file it has no image.
    features : (n, k) float32
    names : tuple of str
        Of the features.
    """

    found: TileCells
    features: NDArray[np.float32]
    names: tuple[str, ...]


class TilesAhead:
    """The looked-at tiles of one count.

    Parameters
    ----------
    folder : Path
        Of the results of the count.
    settings : mapping
        All that decides which cells are found: tiles of another count are not taken.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        text = json.dumps(dict(settings), sort_keys=True)
        self._root = own_folder(folder / AHEAD)
        self._folder = self._root / hashlib.sha256(text.encode()).hexdigest()[:24]

    def has(self, place: tuple[int, int]) -> bool:
        """Whether a tile was looked at, by its (row, col) in the grid."""
        return self._path(place).is_file()

    def put(self, place: tuple[int, int], looked: LookedTile) -> None:
        """Keep a tile; raises `ExportError` if the disk is full."""
        found = looked.found
        small = np.uint16 if len(found) < 2**16 else np.int32
        told: dict[str, Any] = {"names": looked.names, "classes": found.classes}
        told |= {"shape": found.frame.shape, "box": [float(v) for v in found.frame.box]}
        with replacing_file(self._path(place)) as part, part.open("wb") as file:
            np.savez_compressed(
                file,
                labels=found.labels.astype(small),
                described=found.described,
                centroids=found.centroids,
                code=found.code,
                features=looked.features,
                told=np.frombuffer(json.dumps(told).encode(), np.uint8),
            )

    def take(self, place: tuple[int, int]) -> LookedTile | None:
        """A tile that was looked at; None if it was not, or its file is damaged."""
        try:
            with np.load(self._path(place), allow_pickle=False) as kept:
                told = json.loads(kept["told"].tobytes())
                frame = Frame(Box(*told["box"]), tuple(told["shape"]))
                found = TileCells(
                    np.zeros((0, 0, 3), np.uint8),
                    kept["labels"].astype(np.int32),
                    frame,
                    kept["described"],
                    kept["centroids"],
                    kept["code"],
                    tuple(told["classes"]),
                )
                return LookedTile(found, kept["features"], tuple(told["names"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None

    def clear(self) -> None:
        """Remove all looked-at tiles: the count is complete, or is made in another way."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _path(self, place: tuple[int, int]) -> Path:
        return self._folder / f"{place[0]}-{place[1]}.npz"
