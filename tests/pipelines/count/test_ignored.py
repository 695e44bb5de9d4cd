"""What is committed in ignored classes is not counted, however it is said where to count."""

import json

import numpy as np
import pytest
import shapely

from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import ArrayLabels
from histoprompt.core.labels.table import scan
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.given import GivenCells
from histoprompt.pipelines.count import kept
from histoprompt.pipelines.count.audit_table import draw_fields
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import count_slide
from histoprompt.pipelines.count.stored import open_count, stored_counts
from histoprompt.pipelines.formats.regions import Region, read_areas

SIDE, MPP = 400, 0.5
# Cells of 4 x 4 pixels, one every 20: of 400 in all, 20 a row.
STEP = 20
PX_MM2 = MPP**2 / 1e6
# 100 x 60 pixels: of the cells at 10, 30, ... five rows and three columns have their centres there.
FOLD = Box(100, 40, 200, 100)
FOLDED, FOLD_PX = 15, 6000
REGION = Region("drawn", shapely.box(0, 0, 200, 400))


@pytest.fixture
def slide(tmp_path, monkeypatch):
    """Pink and even: all of it is tissue, so that a place has its own area."""
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    pixels = np.broadcast_to(np.array([205, 130, 185], np.uint8), (SIDE, SIDE, 3))
    made = Slide.from_arrays("even", pixels, mpp=MPP)
    with LabelStore.of(made) as store:
        regions = store.on("regions")
        regions.write(FOLD, np.full(FOLD.shape, 1))
        regions.set_class([1], "Ignore*")
    return made


@pytest.fixture
def job():
    labels = np.zeros((SIDE, SIDE), np.uint32)
    for n in range((SIDE // STEP) ** 2):
        row, col = (10 + STEP * v for v in divmod(n, SIDE // STEP))
        labels[row - 2 : row + 2, col - 2 : col + 2] = n + 1
    source = ArrayLabels(labels, (0, 0))
    return CountJob(GivenCells.of(source, scan(source, Task()), Classes()), {"segmenter": "given"})


PLACES = {
    "rectangle": ({"box": Box(0, 0, 200, 200)}, 100 - FOLDED, 40_000 - FOLD_PX),
    "part of it": ({"box": Box(150, 0, 250, 100)}, 25 - 6, 10_000 - 3000),
    "whole slide": ({"box": None}, 400 - FOLDED, 160_000 - FOLD_PX),
    "drawn regions": ({"regions": [REGION]}, 200 - FOLDED, 80_000 - FOLD_PX),
    "beside it": ({"box": Box(200, 200, 400, 400)}, 100, 40_000),
}


@pytest.mark.parametrize("place", PLACES)
def test_cells_and_area_are_without_it_whichever_way_the_place_is_chosen(
    slide, job, tmp_path, place
):
    where, cells, pixels = PLACES[place]
    found = count_slide(slide, job, tmp_path / "o", Task(), **where)
    assert found.tally.total == cells
    assert found.ground.analysed_mm2() == pytest.approx(pixels * PX_MM2, rel=1e-9)
    (line,) = [line for line in found.tally.lines if (line.region, line.name) == ("all", "all")]
    assert line.per_mm2 == pytest.approx(cells / (pixels * PX_MM2))
    told = any("1 area of ignored classes" in note for note in found.notes)
    assert told == ("less what is ignored" in found.ground.denominator) == (cells != 100)
    if place == "drawn regions":
        assert found.ground.analysed_mm2("drawn") == pytest.approx(pixels * PX_MM2, rel=1e-9)


def test_a_place_that_is_ignored_whole_is_refused(slide, job, tmp_path):
    inside = Box(120, 50, 180, 90)
    for where in ({"box": inside}, {"regions": [Region("r", shapely.box(50, 120, 90, 180))]}):
        with pytest.raises(RegionError, match=r"Ignore\* 1"):
            count_slide(slide, job, tmp_path / "o", Task(), **where)


def test_another_class_or_a_file_decides_in_its_place(slide, job, tmp_path):
    box = Box(0, 0, 200, 200)
    document = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [40, 0], [40, 200], [0, 200]]]},
        "properties": {"classification": {"name": "Ignore*"}},
    }
    (tmp_path / "w.geojson").write_text(json.dumps(document))
    given = read_areas(tmp_path / "w.geojson", slide.shape)
    found = count_slide(slide, job, tmp_path / "a", Task(), box=box, without=given)
    assert found.tally.total == 100 - 20
    assert found.ground.analysed_mm2() == pytest.approx(32_000 * PX_MM2)
    with LabelStore.of(slide) as store:
        store.on("regions").set_class([1], "fold")
    found = count_slide(slide, job, tmp_path / "b", Task(), box=box)
    assert (found.tally.total, found.ground.denominator[-7:]) != (85, "ignored")
    assert found.tally.total == 100


def test_a_kept_count_and_an_audit_have_the_same_ground(slide, job, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "count_job", lambda choice, manager: job)
    box = Box(0, 0, 200, 200)
    work = kept.open_or_run(slide, CountChoice(), ModelManager(), box, task=Task())
    assert len(work.cells) == 85
    assert work.mm2[0] == pytest.approx(34_000 * PX_MM2)
    (stored,) = stored_counts(slide)
    again = open_count(slide, stored, Task())
    assert again.complete
    assert (len(again.cells), again.mm2) == (85, pytest.approx(work.mm2))
    count_slide(slide, job, tmp_path / "o", Task(), box=box)
    audit = draw_fields(tmp_path / "o", 4, 0, slide)
    assert audit.plan.found[:, 0].sum() == 85
