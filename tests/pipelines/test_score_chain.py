"""Text to regions to cells to counts, on a slide where every number is known."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import shapely

from five_discs import CARD as SEGMENTER
from five_discs import DarkThings
from histoprompt.core.errors import PromptError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.manager import ModelManager
from histoprompt.pipelines.asked_texts import ScoreParams
from histoprompt.pipelines.count_job import CountChoice
from histoprompt.pipelines.count_work import count_to_work_on
from histoprompt.pipelines.formats.regions import Region, read_regions
from histoprompt.pipelines.formats.scored_regions import REGIONS_FILE, named
from histoprompt.pipelines.region_steps import count_in
from histoprompt.pipelines.score import score
from histoprompt.pipelines.score_cells import CellTexts
from histoprompt.pipelines.score_chain import chain, count_regions, write_counts
from histoprompt.pipelines.score_run import finish, write_scored
from histoprompt.pipelines.score_tiles import ScoreJob
from two_colours import CARD, Colours, two_colours

PURPLE = ScoreParams(("purple",), ("pink",))
CELL = (40, 20, 70)
# Middles of dark cells of 9 x 9 pixels: six in the purple band, three above it.
INSIDE = [(160, 40), (160, 200), (200, 100), (200, 300), (230, 60), (230, 250)]
LEFT, RIGHT = (0, 128, 150, 256), (150, 128, 384, 256)
OUTSIDE = [(40, 60), (60, 200), (80, 300)]


@pytest.fixture(scope="module")
def slide() -> Slide:
    image = two_colours().read(two_colours().box)[0].copy()
    for row, col in INSIDE + OUTSIDE:
        image[row - 4 : row + 5, col - 4 : col + 5] = CELL
    return Slide.from_arrays("cells", [image], mpp=0.5)


@pytest.fixture
def job(tmp_path) -> ScoreJob:
    models = {CARD.id: Colours(), SEGMENTER.id: DarkThings()}
    manager = ModelManager("cpu", 100.0, load=lambda card, *_: models[card.id])
    return ScoreJob(manager, CARD, stores=tmp_path / "stores", batch=8)


def test_only_cells_inside_the_regions_are_counted(slide, job):
    found = finish(*score(slide, PURPLE, job, Task()))
    counts = chain(slide, named(found.regions), SEGMENTER, job, Task())
    at = sorted(zip(counts.cells.row.round(), counts.cells.col.round(), strict=True))
    assert at == sorted(INSIDE)
    assert counts.inside.all()
    (row,) = counts.table()
    assert row[:3] == ("purple 1", "", 6)
    band_mm2 = 128 * 384 * 0.25 / 1e6
    assert counts.mm2[0] == pytest.approx(band_mm2, rel=0.1)
    assert row[3] == pytest.approx(6 / counts.mm2[0])
    assert np.allclose(counts.cells.area_um2, 81 * 0.25, rtol=0.35)


def test_the_file_gives_the_same_counts(slide, job, tmp_path):
    found = finish(*score(slide, PURPLE, job, Task()))
    write_scored(tmp_path, found)
    regions = read_regions(tmp_path / REGIONS_FILE, slide.shape)
    assert [r.name for r in regions] == [r.name for r in named(found.regions)] == ["purple 1"]
    assert regions[0].polygon.equals(named(found.regions)[0].polygon)
    again = count_regions(slide, regions, SEGMENTER, job.manager, Task())
    assert len(again.cells) == len(INSIDE)
    names = {p.name for p in tmp_path.iterdir()}
    assert {"scores.zarr", "heatmap_1.tif", "tiles.csv", "regions.geojson"} <= names


def test_a_finished_count_is_used_where_it_covers_the_regions(slide, job, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "all_cards", lambda: (SEGMENTER,))
    choice, manager = CountChoice(segmenter=SEGMENTER.id), job.manager
    work = count_to_work_on(slide, choice, manager, None, task=Task())
    found = finish(*score(slide, PURPLE, job, Task()))
    ask = partial(count_in, slide, found.scores, "purple", card=SEGMENTER, job=job, task=Task())
    counts, source = ask(work)
    assert source is work
    assert sorted(zip(counts.cells.row.round(), counts.cells.col.round(), strict=True)) == sorted(
        INSIDE
    )
    assert np.array_equal(work.cells[counts.cells.id - 1].row, counts.cells.row)
    assert counts.cells.feature_names == work.cells.feature_names
    anew, source = ask(None)
    assert source is None
    assert counts.mm2 == anew.mm2
    assert [row[:3] for row in counts.table()] == [row[:3] for row in anew.table()]
    part = count_to_work_on(slide, choice, manager, Box(128, 0, 256, 200), task=Task())
    coarser = Slide.from_arrays("cells", [slide.read(slide.box)[0]], mpp=0.25)
    for other in (part, replace(work, slide=coarser)):
        assert ask(other)[1] is None


def test_classes_in_words_are_counted_by_region(slide, job, tmp_path):
    left, right = (
        Region(n, shapely.box(a, 128, b, 256)) for n, a, b in (("l", 0, 150), ("r", 150, 384))
    )
    texts = CellTexts(("purple", "pink"), "plain")
    counts = chain(slide, [left, right], SEGMENTER, job, Task(), texts=texts)
    numbers = {(region, name): n for region, name, n, _ in counts.table()}
    assert numbers["l", "purple"] == sum(c < 150 for _, c in INSIDE)
    assert numbers["r", "purple"] == sum(c >= 150 for _, c in INSIDE)
    assert numbers["l", "pink"] == numbers["r", "unsure"] == 0
    write_counts(tmp_path, counts)
    with (tmp_path / "region_cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["class"] for r in rows] == ["purple"] * 6
    assert {r["regions"] for r in rows} == {"l", "r"}
    with (tmp_path / "region_counts.csv").open(newline="") as file:
        assert sum(int(r["cells"]) for r in csv.DictReader(file)) == 6


def test_no_region_is_refused(slide, job):
    with pytest.raises(RegionError, match="Lower it"):
        chain(slide, [], SEGMENTER, job, Task())


def test_marks_and_typed_thresholds_say_where_they_come_from(slide, job):
    scores, seen = score(slide, PURPLE, job, Task())
    low = int(scores.column("purple").argmin())
    plain, marked, typed = (
        finish(scores, seen, marks=m, threshold=t)
        for m, t in ((None, None), ({"purple": {low: True}}, None), ({"purple": {low: True}}, 0.9))
    )
    assert "even odds" in plain.origins()[0]
    assert "moved from 0.50" in marked.origins()[0]
    assert "1 marks (1 yes, 0 no)" in marked.origins()[0]
    assert "threshold 0.90, typed" in typed.origins()[0]
    with pytest.raises(PromptError):
        finish(scores, seen, threshold=2)


def test_regions_of_several_texts_are_numbered_through(slide, job):
    both = ScoreParams(("purple", "pink"), ("glass",))
    found = finish(*score(slide, both, job, Task()))
    assert [r.id for r in found.regions] == [*range(1, len(found.regions) + 1)]
    assert {r.text for r in found.regions} == {"purple", "pink"}
    large = finish(*score(slide, both, job, Task()), least_tiles=49)
    assert max(r.tiles for r in found.regions) == 48
    assert large.regions == ()
