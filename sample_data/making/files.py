"""Write the slide and its ground truth, the same bytes each time."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from making.layout import MPP, OUT_OF_FOCUS, REGIONS, SHAPE

LEVELS: Final = 4
QUALITY: Final = 90
_SOFTWARE = "histoprompt make_sample.py"
# OME-TIFF wants an identifier; a random one would make every file differ.
_UUID = "00000000-0000-0000-0000-000000000000"


def write_slide(path: Path, image: NDArray[np.uint8]) -> None:
    """A pyramid as OME-TIFF with the coarser levels in SubIFDs, in JPEG tiles of 256."""
    options: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": QUALITY},
        "software": _SOFTWARE,
    }
    with tifffile.TiffWriter(path, ome=True) as writer:
        level = image
        for index in range(LEVELS):
            first = {"subifds": LEVELS - 1, "metadata": _ome("sample slide", "YXS")}
            extra = first if index == 0 else {"subfiletype": 1}
            writer.write(level, **options, **_resolution(MPP * 2**index), **extra)
            level = _halved(level)


def write_labels(path: Path, labels: NDArray[Any], name: str) -> None:
    """Whole numbers a pixel, losslessly compressed."""
    tifffile.imwrite(
        path,
        labels,
        ome=True,
        tile=(256, 256),
        compression="adobe_deflate",
        predictor=False,
        software=_SOFTWARE,
        metadata=_ome(name, "YX"),
        **_resolution(MPP),
    )


def write_classes(path: Path, classes: Sequence[str]) -> None:
    """A table of columns id and class."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("id", "class"))
        table.writerows(enumerate(classes, start=1))


def write_region_names(path: Path, seed: int) -> None:
    """What the numbers in the region image mean, and where the slide is out of focus."""
    centre, radius = OUT_OF_FOCUS
    facts = {
        "shape": list(SHAPE),
        "mpp": MPP,
        "seed": seed,
        "regions": REGIONS,
        "out_of_focus": {"centre": list(centre), "radius": radius},
    }
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean of each 2 x 2 block; a last odd row or column is dropped."""
    rows, cols = (n // 2 * 2 for n in image.shape[:2])
    blocks = image[:rows, :cols].reshape(rows // 2, 2, cols // 2, 2, -1)
    return ((blocks.sum(axis=(1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8)


def _ome(name: str, axes: str) -> dict[str, Any]:
    size = {f"PhysicalSize{a}": MPP for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
    return {"axes": axes, "Name": name, "UUID": _UUID, "Creator": _SOFTWARE, **size}


def _resolution(mpp: float) -> dict[str, Any]:
    return {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
