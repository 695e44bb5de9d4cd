"""A slide of dark discs whose cells are known, and a job that counts them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from five_discs import dark_things
from histoprompt.core.cell_table import CellTable
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.formats.cell_files import read_cells

WINDOWED = ModelCard(
    "dark", "cells", "Dark things", "five_discs:dark_things", input_size=64, window_stride=48,
    mpp=0.25, memory_mib=1,
)  # fmt: skip
PLAIN = replace(WINDOWED, input_size=0, window_stride=0)


def field_of_discs(shape: tuple[int, int] = (500, 620), seed: int = 3) -> np.ndarray:
    """Discs of radius 8 on a jittered grid."""
    rng = np.random.default_rng(seed)
    seeds = np.ones(shape, bool)
    at = np.stack(
        np.meshgrid(range(20, shape[0] - 20, 30), range(20, shape[1] - 20, 30), indexing="ij"), -1
    )
    at = at + rng.integers(-4, 5, at.shape)
    seeds[at[..., 0], at[..., 1]] = False
    near = ndi.distance_transform_edt(seeds) <= 8
    return np.where(near[..., None], (90, 50, 130), (235, 205, 220)).astype(np.uint8)


IMAGE = field_of_discs()
SLIDE = Slide.from_arrays("discs", [IMAGE], mpp=0.25)
TRUTH = ndi.label(IMAGE[..., 0] < 128)[0]
CENTRES = np.array(ndi.center_of_mass(TRUTH > 0, TRUTH, range(1, TRUTH.max() + 1)))


def job(card: ModelCard = WINDOWED, tile: int | None = 128, **settings: object) -> CountJob:
    manager = ModelManager("cpu", 100.0, load=dark_things)
    return CountJob(ModelCells(card, manager), {"segmenter": card.id, **settings}, tile)


def table(folder: Path) -> CellTable:
    return read_cells(folder / "cells.csv")


class Stop(Task):
    """Cancels itself as the next tile begins, so that so many are done."""

    def __init__(self, after: int) -> None:
        super().__init__(self._watch)
        self._after = after

    def _watch(self, progress: object) -> None:
        if progress.text.startswith("Counting") and progress.done >= self._after:
            self.cancel()
