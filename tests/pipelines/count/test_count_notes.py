"""Notes on a slide and the model that counted it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dark_discs import WINDOWED
from five_discs import dark_things
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.count.notes import stain_notes
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import count_slide


@pytest.mark.parametrize(
    ("stain", "segmenter", "told"),
    [("H-DAB", "histoprompt-cells", True), ("H&E", "histoprompt-cells", False),
     ("H-DAB", "classical-cells", False)],
)  # fmt: skip
def test_a_network_of_he_is_not_trusted_with_brown_nuclei(stain, segmenter, told):
    assert bool(stain_notes(StainMatrix.published(stain), segmenter)) == told


def field(nuclei: tuple[int, int, int], ground: tuple[int, int, int]) -> Slide:
    """Discs of radius 8 in two colours on tissue, with noise."""
    rows, cols = np.indices((260, 320))
    image = np.empty((260, 320, 3), float)
    image[:] = ground
    for k, (r, c) in enumerate((r, c) for r in range(20, 250, 30) for c in range(20, 310, 30)):
        image[(rows - r) ** 2 + (cols - c) ** 2 <= 64] = nuclei if k % 2 else (90, 90, 150)
    image += np.random.default_rng(0).normal(0, 4, image.shape)
    return Slide.from_arrays("field", [image.clip(0, 255).astype(np.uint8)], mpp=0.25)


@pytest.mark.parametrize(
    ("slide", "told"),
    [(field((110, 60, 25), (225, 222, 228)), True), (field((90, 60, 140), (235, 190, 215)), False)],
    ids=["brown", "pink and purple"],
)
def test_report_and_record_tell_of_an_immunostain(tmp_path, slide, told):
    manager = ModelManager("cpu", 100.0, load=dark_things)
    job = CountJob(ModelCells(WINDOWED, manager), {"segmenter": "histoprompt-cells"}, 128)
    counted = count_slide(slide, job, tmp_path, Task())
    assert any("immunostain" in note for note in counted.notes) == told
    assert ("immunostain" in (tmp_path / "report.html").read_text()) == told
    notes = json.loads((tmp_path / "count.json").read_text())["notes"]
    assert any("immunostain" in note for note in notes) == told
