"""The nuclei of the NuCLS points, measured once: for `bench_classify.py`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.stain.fit import fit_dyes
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.cells.instances import decode
from histoprompt.models.cells.pooling import pool
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.networks.lite_networks import STEP, Networks
from histoprompt.pipelines.cells.features import FEATURE_NAMES, measure
from histoprompt.pipelines.embedding.cell_crops import CROP_UM
from histoprompt.pipelines.embedding.tiles import EmbedJob

CLASSES = ("tumour", "stroma", "lymphocyte", "other")
MPP, ENCODER = 0.25, "efficientnet-lite0"
# Pixels: how far from its point a nucleus may begin, and the disc where there is none.
NEAR, RADIUS = 8, 12


@dataclass(frozen=True, eq=False)
class Nuclei:
    """n nuclei of one half of the data.

    Attributes
    ----------
    code : (n,) int
        Index into `CLASSES`.
    tile : (n,) int
    made, seen : (n, k) float32
        Hand-made features; the network's coarse features under the mask.
    around : (n, d) float32
        What EfficientNet-Lite0 sees of a crop of 32 µm around each point.
    found : float
        Share of the points that had a segmented nucleus.
    """

    code: NDArray[np.intp]
    tile: NDArray[np.intp]
    made: NDArray[np.float32]
    seen: NDArray[np.float32]
    around: NDArray[np.float32]
    found: float

    @property
    def made_names(self) -> tuple[str, ...]:
        return FEATURE_NAMES

    @property
    def seen_names(self) -> tuple[str, ...]:
        return tuple(f"net_{i:03d}" for i in range(self.seen.shape[1]))

    @property
    def around_names(self) -> tuple[str, ...]:
        return tuple(f"{ENCODER}_{i}" for i in range(self.around.shape[1]))


def read(folder: Path, device: str = "cpu") -> Nuclei:
    """Measure the nuclei under all points of ``folder/images`` and ``folder/labels``."""
    networks = Networks.load(None, device)
    job = EmbedJob(ModelManager(device=device), registry.card(ENCODER))
    parts: list[tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32], int]] = []
    around = []
    for path in sorted((folder / "labels").glob("*.csv")):
        picture = next((folder / "images").glob(f"{path.stem}.*"))
        image = np.asarray(Image.open(picture).convert("RGB"))
        points, code = _points(path, image.shape[:2])
        maps, features = networks.look(image)
        labels, found = at_points(decode(maps, networks.params), points)
        seen = pool(features, labels, STEP)
        made = measure(image, labels, MPP, fit_dyes(image))
        parts.append((code, made, seen, found))
        around.append(job.embed(Task(), _crops(image, points)))
    code = np.concatenate([p[0] for p in parts])
    return Nuclei(
        code=code,
        tile=np.repeat(np.arange(len(parts)), [len(p[0]) for p in parts]),
        made=np.concatenate([p[1] for p in parts]),
        seen=np.concatenate([p[2] for p in parts]),
        around=np.concatenate(around),
        found=sum(p[3] for p in parts) / len(code),
    )


def at_points(
    segmented: NDArray[np.int32], points: NDArray[np.intp]
) -> tuple[NDArray[np.int32], int]:
    """Labels with the nucleus under or next to point i as i + 1, else a disc around the point.

    A nucleus belongs to the first point on it; others on it get discs.
    """
    rows, cols = np.indices(segmented.shape)
    out = np.zeros_like(segmented)
    owner: dict[int, int] = {}
    for i, (r, c) in enumerate(points.tolist()):
        squared = (rows - r) ** 2 + (cols - c) ** 2
        near = np.where((segmented > 0) & (squared <= NEAR**2), squared, 10**9)
        value = int(segmented.flat[near.argmin()]) if near.min() < 10**9 else 0
        if value and value not in owner:
            owner[value] = i
            out[segmented == value] = i + 1
    for i, (r, c) in enumerate(points.tolist()):
        if i not in owner.values():
            disc = ((rows - r) ** 2 + (cols - c) ** 2 <= RADIUS**2) & (out == 0)
            disc[r, c] = True
            out[disc] = i + 1
    return out, len(owner)


def _crops(image: NDArray[np.uint8], points: NDArray[np.intp]) -> NDArray[np.uint8]:
    """(n, side, side, 3) around each point; beyond the image its mirror image."""
    half = round(CROP_UM / MPP / 2)
    wide = np.pad(image, ((half, half), (half, half), (0, 0)), mode="symmetric")
    return np.stack([wide[r : r + 2 * half, c : c + 2 * half] for r, c in points.tolist()])


def _points(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    with path.open(newline="") as file:
        rows = [[int(v) for v in row] for row in csv.reader(file) if row]
    x, y, code = np.array(rows, np.intp).T
    return np.stack([y.clip(0, shape[0] - 1), x.clip(0, shape[1] - 1)], axis=1), code
