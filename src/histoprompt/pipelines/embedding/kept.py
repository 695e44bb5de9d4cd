"""Which tiles an index has, kept beside their vectors."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core import settings
from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import read_bytes

FILE = "index.npz"
# Raised when tiles of the same slide would be chosen in another way.
ALGORITHM = 1


@dataclass(frozen=True, eq=False)
class KeptPlan:
    """The tiles of a slide that hold tissue.

    Attributes
    ----------
    name, path : str
        Of the slide.
    mpp : float or None
        Microns a level-0 pixel.
    shape : (rows, cols)
        Of the slide.
    places : (n, 2) int32
        In the grid, in reading order.
    flags : mapping of str to (n,) float32
        Shares of each tile.
    """

    name: str
    path: str
    mpp: float | None
    shape: tuple[int, int]
    places: NDArray[np.int32]
    flags: Mapping[str, NDArray[np.float32]]


def write_plan(folder: Path, plan: KeptPlan) -> None:
    """Keep a plan in the folder of its vectors; whole or not at all. Raises `ExportError`."""
    facts = {
        "algorithm": ALGORITHM,
        "name": plan.name,
        "path": plan.path,
        "mpp": plan.mpp,
        "shape": list(plan.shape),
        "flags": list(plan.flags),
    }
    shares = np.stack([*plan.flags.values()], axis=1) if plan.flags else np.zeros((0, 0))
    with replacing_file(folder / FILE) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
            places=plan.places,
            shares=shares.astype(np.float32),
        )


def is_indexed(slide: str, stores: Path | None = None) -> bool:
    """Whether any encoder has looked at all tissue of a slide, by its key; nothing is read."""
    there = (stores or settings.cache_folder() / "tiles") / slide
    return bool(slide) and any(there.glob(f"*/{FILE}"))


def read_plan(folder: Path) -> KeptPlan | None:
    """The plan of a whole index; None if there is none, or none that can be read."""
    try:
        raw = read_bytes(folder / FILE, LabelError)
        with np.load(io.BytesIO(raw), allow_pickle=False) as data:
            facts = json.loads(data["facts"].tobytes())
            if facts["algorithm"] != ALGORITHM:
                return None
            return KeptPlan(
                str(facts["name"]),
                str(facts["path"]),
                None if facts["mpp"] is None else float(facts["mpp"]),
                (int(facts["shape"][0]), int(facts["shape"][1])),
                data["places"].astype(np.int32).reshape(-1, 2),
                dict(zip(facts["flags"], data["shares"].astype(np.float32).T, strict=True)),
            )
    except (LabelError, OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
