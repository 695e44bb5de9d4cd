"""Notes on a slide and the model that counted it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dark_discs import WINDOWED, field_of_discs
from five_discs import DarkThings, dark_things
from histoprompt.core.cell_table import PROBABILITY
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import StainMatrix
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.cells.stains import stain_notes
from histoprompt.pipelines.classes.train import Trainer
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import CountResult, count_slide
from histoprompt.pipelines.formats.cell_files import read_cells


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


class Knowing(DarkThings):
    """Knows how likely its cells are some, and that it learnt from something else."""

    def __init__(self, strange: list[float] | None) -> None:
        self.strange = strange
        self.fields: list[np.ndarray] = []

    def segment_scored(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = self.segment(image)
        return labels, np.full(labels.max(), 0.75, np.float32)

    def strangeness(self, fields: list[np.ndarray]) -> np.ndarray | None:
        self.fields = fields
        return None if self.strange is None else np.resize(self.strange, len(fields))


def counted_by(model: Knowing, folder: Path, slide: Slide) -> CountResult:
    source = ModelCells(WINDOWED, ModelManager("cpu", 100.0, load=lambda *_: model))
    return count_slide(slide, CountJob(source, {"segmenter": "dark"}, 256), folder, Task())


@pytest.mark.parametrize(
    ("strange", "told"), [([1.5], True), ([0.9], False), ([0.2, 0.3, 5.0], False), (None, False)]
)
def test_a_slide_unlike_all_that_was_learnt_from_says_so(tmp_path, strange, told):
    slide = Slide.from_arrays("discs", [field_of_discs((800, 900))], mpp=0.25)
    model = Knowing(strange)
    counted = counted_by(model, tmp_path, slide)
    assert {f.shape for f in model.fields} == {(256, 256, 3)}
    assert 6 <= len(model.fields) <= 12
    assert any("differs from the tiles" in n for n in counted.notes) == told
    assert ("1.5 times as far" in (tmp_path / "report.html").read_text()) == told


def test_a_model_sees_fields_at_its_own_scale(tmp_path):
    """Discs of radius 8 px at 0.5 um/px have radius 16 px at the model's 0.25."""
    slide = Slide.from_arrays("discs", [field_of_discs((800, 900))], mpp=0.5)
    model = Knowing([0.5])
    counted_by(model, tmp_path, slide)
    areas = np.concatenate([np.bincount(model.segment(f).ravel())[1:] for f in model.fields])
    assert areas.max() == pytest.approx(np.pi * 16**2, rel=0.1)


def test_the_probability_is_a_column_that_classes_are_not_learnt_from(tmp_path):
    slide = Slide.from_arrays("discs", [field_of_discs((300, 320))], mpp=0.25)
    counted_by(Knowing(None), tmp_path, slide)
    cells = read_cells(tmp_path / "cells.csv")
    assert cells.feature_names[-1] == PROBABILITY
    assert (cells.features[:, -1] == 0.75).all()
    labels = {int(i): "ab"[k % 2] for k, i in enumerate(cells.id[:6])}
    fit = Trainer(cells).fit(labels)
    assert PROBABILITY not in fit.classifier.feature_names
    assert len(fit.classifier.feature_names) == len(cells.feature_names) - 1
