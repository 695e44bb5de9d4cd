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
from histoprompt.core import settings
from histoprompt.core.errors import PromptError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Progress, Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import open_or_run, waiting
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.formats.regions import Region, read_regions
from histoprompt.pipelines.regions.cell_texts import CellTexts
from histoprompt.pipelines.regions.count import count_regions, write_counts
from histoprompt.pipelines.regions.steps import RegionCountParams, count_found, count_in
from histoprompt.pipelines.text.region_file import REGIONS_FILE, named
from histoprompt.pipelines.text.run import finish, write_scored
from histoprompt.pipelines.text.score import score
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.pipelines.text.tile_labels import TileLabels, tile_labels_path
from two_colours import CARD, Colours, two_colours

PURPLE = ScoreParams(("purple",), ("pink",))
CHOICE = CountChoice(segmenter=SEGMENTER.id)
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
def job(tmp_path, monkeypatch) -> ScoreJob:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "all_cards", lambda: (SEGMENTER,))
    models = {CARD.id: Colours(), SEGMENTER.id: DarkThings()}
    manager = ModelManager("cpu", 100.0, load=lambda card, *_: models[card.id])
    return ScoreJob(manager, CARD, stores=tmp_path / "stores", batch=8)


def test_only_cells_inside_the_regions_are_counted(slide, job):
    found = finish(*score(slide, PURPLE, job, Task()))
    counts = count_regions(slide, named(found.regions), CHOICE, job, Task()).counts
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
    again = count_regions(slide, regions, CHOICE, job, Task())
    assert len(again.counts.cells) == len(INSIDE)
    names = {p.name for p in tmp_path.iterdir()}
    assert {"scores.zarr", "heatmap_1.tif", "tiles.csv", "regions.geojson"} <= names


def places(cells) -> list[tuple[float, float]]:
    return sorted(zip(cells.row.round(), cells.col.round(), strict=True))


def test_a_finished_count_is_used_where_it_covers_the_regions(slide, job):
    work = open_or_run(slide, CHOICE, job.manager, None, task=Task())
    scores, _ = score(slide, PURPLE, job, Task())

    def ask(counted, choice=CHOICE):
        wish = RegionCountParams(choice, counted=counted)
        return count_in(wish, slide, scores, "purple", job=job, task=Task())[0]

    found = ask(work)
    assert found.work is work
    assert places(found.counts.cells) == sorted(INSIDE)
    assert np.array_equal(work.cells[found.counts.cells.id - 1].row, found.counts.cells.row)
    anew = ask(None)
    assert anew.work.ground.regions
    assert anew.work.folder != work.folder
    assert found.counts.mm2 == anew.counts.mm2
    assert [row[:3] for row in found.counts.table()] == [row[:3] for row in anew.counts.table()]
    part = open_or_run(slide, CHOICE, job.manager, Box(128, 0, 256, 200), task=Task())
    coarser = Slide.from_arrays("cells", [slide.read(slide.box)[0]], mpp=0.25)
    for other in (part, replace(work, slide=coarser)):
        assert ask(other).work.folder == anew.work.folder
    assert ask(anew.work).work is anew.work
    other_model = CountJob(work.job.source, {**anew.work.job.settings, "segmenter": "another"})
    assert ask(replace(anew.work, job=other_model)).work.folder == anew.work.folder


def test_a_count_of_regions_serves_smaller_ones_and_no_larger_ones(slide, job):
    def at(left: int, right: int, counted=None):
        region = Region("r", shapely.box(left, 128, right, 256))
        return count_regions(slide, [region], CHOICE, job, Task(), counted=counted)

    wide = at(0, 300)
    narrow = at(0, 150, wide.work)
    assert narrow.work is wide.work
    assert places(narrow.counts.cells) == [p for p in sorted(INSIDE) if p[1] < 150]
    assert at(0, 384, wide.work).work is not wide.work


class StopAt(Task):
    """Cancelled when a step of this text comes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stop = text
        self.report = self._look

    def _look(self, told: Progress) -> None:
        if told.text.startswith(self.stop) and told.done:
            self.cancel()


def test_a_cancelled_chain_keeps_what_was_counted(slide, job):
    regions = [Region(n, shapely.box(0, r, 384, r + 64)) for n, r in (("a", 128), ("b", 192))]
    ask = partial(count_regions, slide, regions, replace(CHOICE, tile=64), job)
    part = ask(StopAt("Counting"))
    assert not part.work.complete
    assert 0 < len(part.work.progress.done) < part.work.progress.total
    done = sum(box.area for box in part.work.progress.done) * 0.25 / 1e6
    assert 0 < sum(part.counts.mm2) <= done
    assert waiting(part.work).any()
    whole = ask(Task())
    assert whole.work.progress.resumed == len(part.work.progress.done)
    assert places(whole.counts.cells) == sorted(INSIDE)
    assert not waiting(whole.work).any()


def test_waiting_tiles_of_regions_are_those_that_meet_one(slide, job):
    corners = [Region(n, shapely.box(c, c, c + 60, c + 60)) for n, c in (("a", 0), ("b", 300))]
    part = count_regions(slide, corners, replace(CHOICE, tile=64), job, StopAt("Counting"))
    frame = part.work.ground.tissue.frame
    rows, cols = np.nonzero(waiting(part.work))
    at = frame.to_slide(np.stack([rows, cols], axis=1))
    assert len(at)
    assert (np.abs(at[:, 0] - at[:, 1]) < 64).all()


def test_words_that_tell_nothing_apart_are_refused_before_cells_are_looked_for(slide, job):
    region = Region("r", shapely.box(0, 128, 384, 256))
    for words in (("purple",), ("purple", "green")):
        with pytest.raises(PromptError):
            count_regions(slide, [region], CHOICE, job, Task(), texts=CellTexts(words, "plain"))
    assert not settings.counts_folder().exists()


def test_the_chain_of_a_dock_is_that_of_the_command(slide, job):
    scores, seen = score(slide, PURPLE, job, Task())
    low = int(scores.column("purple").argmin())
    TileLabels(tile_labels_path(slide.key)).set(scores, "purple", low, True)
    texts, typed = CellTexts(("purple", "pink"), "plain"), {"purple": 0.4}
    told: list[Progress] = []
    wish = RegionCountParams(CHOICE, texts, typed)
    found, cut = count_found(wish, slide, scores, seen, job, task=Task(told.append))
    assert cut.thresholds["purple"].value == 0.4
    regions = finish(scores, seen, marks={"purple": {low: True}}, thresholds=typed).regions
    command = count_regions(slide, named(regions), CHOICE, job, Task(), texts=texts)
    assert found.counts.table() == command.counts.table()
    assert found.named
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    marked, cut = count_found(RegionCountParams(CHOICE), slide, scores, seen, job, task=Task())
    assert "moved from" in cut.thresholds["purple"].origin
    assert not marked.named


def test_classes_in_words_are_counted_by_region(slide, job, tmp_path):
    left, right = (
        Region(n, shapely.box(a, 128, b, 256)) for n, a, b in (("l", 0, 150), ("r", 150, 384))
    )
    texts = CellTexts(("purple", "pink"), "plain")
    counts = count_regions(slide, [left, right], CHOICE, job, Task(), texts=texts).counts
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
        count_regions(slide, [], CHOICE, job, Task())


def test_marks_and_typed_thresholds_say_where_they_come_from(slide, job):
    scores, seen = score(slide, PURPLE, job, Task())
    low = int(scores.column("purple").argmin())
    plain, marked, typed = (
        finish(scores, seen, marks=m, thresholds=t)
        for m, t in (
            (None, None),
            ({"purple": {low: True}}, None),
            ({"purple": {low: True}}, {"purple": 0.9}),
        )
    )
    assert "even odds" in plain.origins()[0]
    assert "moved from 0.50" in marked.origins()[0]
    assert "1 marks (1 yes, 0 no)" in marked.origins()[0]
    assert "threshold 0.90, typed" in typed.origins()[0]
    with pytest.raises(PromptError):
        finish(scores, seen, thresholds={"purple": 2})


def test_regions_of_several_texts_are_numbered_through(slide, job):
    both = ScoreParams(("purple", "pink"), ("glass",))
    found = finish(*score(slide, both, job, Task()))
    assert [r.id for r in found.regions] == [*range(1, len(found.regions) + 1)]
    assert {r.text for r in found.regions} == {"purple", "pink"}
    large = finish(*score(slide, both, job, Task()), least_tiles=49)
    assert max(r.tiles for r in found.regions) == 48
    assert large.regions == ()
