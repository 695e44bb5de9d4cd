"""After a cancel no job begins another unit of its work: a window, a part of a batch, a tile.

Nothing is timed: what a unit takes depends on the machine, how many are begun does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cells_of_classes import cells_on_a_grid
from dark_discs import SLIDE, TRUTH, WINDOWED
from fakes import FakeSegmenter
from five_discs import DarkThings, dark_things
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import Cancelled
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.prompts.file import ObjectPrompt
from histoprompt.core.prompts.prompt import Prompt
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.cells.windowed import WindowedCells
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.networks.lite_networks import Networks
from histoprompt.models.zoo.ais import DecodedCells
from histoprompt.pipelines.cells.find import ModelCells, find_cells
from histoprompt.pipelines.cells.prompted import PromptedCells
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import open_or_run
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tiles import AT_ONCE
from histoprompt.pipelines.exchange.export import ExportParams, export
from histoprompt.pipelines.exchange.import_labels import apply_import, plan_import
from histoprompt.pipelines.exchange.incoming import read_incoming
from histoprompt.pipelines.formats.regions import Region
from histoprompt.pipelines.prompts.segment import SegmentJob, segment
from histoprompt.pipelines.regions.cell_texts import CellTexts, score_cells
from histoprompt.pipelines.regions.count import count_regions
from histoprompt.pipelines.regions.steps import fit_all
from histoprompt.pipelines.text.score import score
from histoprompt.pipelines.text.text_embedding import ScoreParams
from two_colours import Colours, job_of, two_colours

ASKED = ScoreParams(("pink", "purple"), contrasts=("glass",), templates="plain")


class Stop:
    """Cancels a task in the midst of one of its units, and counts those begun later."""

    def __init__(self, at: int = 2) -> None:
        self.task, self.begun, self.late, self._at = Task(), 0, 0, at

    def __call__(self) -> None:
        self.begun += 1
        self.late += self.task.cancelled
        if self.begun == self._at:
            self.task.cancel()

    def within(self, unit: Callable[..., Any]) -> Callable[..., Any]:
        """The same unit of work, watched."""

        def watched(*args: Any, **more: Any) -> Any:
            self()
            return unit(*args, **more)

        return watched


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def ended(stop: Stop) -> Iterator[None]:
    """What holds of every job."""
    yield
    assert stop.task.cancelled, "the job ended before it was cancelled"
    assert stop.late == 0


def manager_of(model: object) -> ModelManager:
    return ModelManager("cpu", 100.0, load=lambda *_: model)


def test_cells_of_a_model_in_windows(stop):
    model = WindowedCells(stop.within(DarkThings().segment), 64, 48)
    with pytest.raises(Cancelled):
        list(find_cells(SLIDE, SLIDE.box, WINDOWED, manager_of(model), stop.task))


def test_cells_of_a_decoder_in_tiles(stop, monkeypatch):
    card = replace(registry.card("pathosam-vit-b-cells"), memory_mib=1)
    model = DecodedCells(None, None, 0, "cpu")
    empty = np.stack([np.zeros((512, 512)), np.ones((512, 512)), np.ones((512, 512))])
    monkeypatch.setattr(model, "_look", stop.within(lambda image: empty.astype(np.float32)))
    slide = Slide.from_arrays("wide", [np.full((900, 900, 3), 220, np.uint8)], mpp=0.25)
    with pytest.raises(Cancelled):
        list(find_cells(slide, slide.box, card, manager_of(model), stop.task))


def test_a_count_by_the_network_that_is_shipped(stop, monkeypatch):
    monkeypatch.setattr(Networks, "look", stop.within(Networks.look))
    work = open_or_run(
        SLIDE, CountChoice(device="cpu"), ModelManager("cpu"), SLIDE.box, task=stop.task
    )
    assert not work.complete
    work.progress.store.close()


def test_cells_in_regions(stop, tmp_path, monkeypatch):
    find = stop.within(ModelCells.find)
    monkeypatch.setattr(ModelCells, "find", find)
    monkeypatch.setattr("histoprompt.pipelines.cells.find.TILE_UM", 24.0)
    regions = [Region("all", shapely.box(20, 20, 480, 480))]
    choice = CountChoice(segmenter="classical-cells", device="cpu")
    job = ScoreJob(ModelManager("cpu"), registry.card("vocabulary"), stores=tmp_path)
    found = count_regions(SLIDE, regions, choice, job, stop.task)
    assert not found.work.complete  # what was counted until then is handed over


def test_cells_by_prompts(stop):
    model = FakeSegmenter()
    model.segment = stop.within(model.segment)  # type: ignore[method-assign]
    proposer = ModelCells(WINDOWED, ModelManager("cpu", 100.0, load=_either(model)))
    source = PromptedCells(replace(model.card, crop_px=64), proposer)
    with pytest.raises(Cancelled):
        source.find(SLIDE, SLIDE.box, stop.task)


def _either(model: FakeSegmenter) -> Callable[..., object]:
    return lambda card, *_: dark_things() if card.role == "cells" else model


def test_objects_of_prompts(stop):
    model = FakeSegmenter()
    model.segment = stop.within(model.segment)  # type: ignore[method-assign]
    job = SegmentJob(manager_of(model), EmbeddingCache(), replace(model.card, crop_px=64))
    places = [(r, c) for r in range(20, 480, 40) for c in range(20, 600, 40)]
    objects = [ObjectPrompt(i, Prompt.of_points([at])) for i, at in enumerate(places)]
    with pytest.raises(Cancelled):
        segment(SLIDE, objects, job, stop.task)


def test_tiles_of_a_text(stop, tmp_path):
    model = Colours()
    model.embed_images = stop.within(model.embed_images)  # type: ignore[method-assign]
    scores, _ = score(two_colours(), ASKED, job_of(model, tmp_path), stop.task)
    assert 0 < len(scores) <= model.seen <= 2 * AT_ONCE  # what was seen until then


def test_texts_of_a_search(stop, tmp_path):
    model = Colours()
    model.embed_texts = stop.within(model.embed_texts)  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        score(two_colours(), ASKED, job_of(model, tmp_path), stop.task)


@pytest.mark.parametrize("way", ["crop", "tokens"])
def test_cells_of_a_text(stop, tmp_path, way):
    model, name = Colours(), {"crop": "embed_images", "tokens": "embed_tokens"}[way]
    setattr(model, name, stop.within(getattr(model, name)))
    texts = CellTexts(("purple cells", "pink cells"), "plain", way=way, least_um=8)
    with pytest.raises(Cancelled):
        score_cells(two_colours(), cells_on_a_grid(12), texts, job_of(model, tmp_path), stop.task)
    assert model.seen <= 2 * AT_ONCE


def test_calibrations(stop):
    class Fit:
        text = "a"
        fit = staticmethod(stop.within(lambda: None))

    with pytest.raises(Cancelled):
        fit_all([Fit() for _ in range(5)], stop.task)  # type: ignore[misc]


@pytest.mark.parametrize("fmt", ["tiles", "coco", "yolo-seg"])
def test_an_export_of_tiles(stop, tmp_path, monkeypatch, fmt):
    monkeypatch.setattr(Slide, "read", stop.within(Slide.read))
    params = ExportParams(format=fmt, tile_size=64)
    with pytest.raises(Cancelled):
        export(SLIDE, ArrayLabels(TRUTH.astype(np.uint32)), tmp_path / "out", params, stop.task)
    assert not (tmp_path / "out").exists()


def test_an_import(stop, tmp_path, monkeypatch):
    labels = ArrayLabels(TRUTH.astype(np.uint32))
    export(SLIDE, labels, tmp_path / "out", ExportParams(format="geojson"), Task())
    monkeypatch.setattr("histoprompt.pipelines.exchange.planning._BLOCK", 128)
    with LabelStore.open(tmp_path / "store", SLIDE.shape, SLIDE.key) as store:
        found = read_incoming(SLIDE, tmp_path / "out" / "objects.geojson", Task())
        plan = plan_import(store, found, Task())
        monkeypatch.setattr(LabelStore, "write", stop.within(LabelStore.write))
        with pytest.raises(Cancelled):
            apply_import(store, plan, stop.task)
        assert store.count == 0
