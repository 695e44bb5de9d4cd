"""Working on scores without a screen: marks, thresholds, undo, other words."""

from __future__ import annotations

import numpy as np
import pytest

from histoprompt.core.errors import PromptError
from histoprompt.core.labels.contours import fill
from histoprompt.core.scores.regions import find_regions
from histoprompt.core.task import Task
from histoprompt.pipelines.regions.steps import fit_all, write_all
from histoprompt.pipelines.text.gallery import gallery
from histoprompt.pipelines.text.run import finish
from histoprompt.pipelines.text.score import ask, score
from histoprompt.pipelines.text.session import ScoreSession
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.pipelines.text.tile_labels import TileLabels
from two_colours import PURPLE_ROWS, Colours, job_of, two_colours

PURPLE = ScoreParams(("purple",), ("pink",))


@pytest.fixture(scope="module")
def slide():
    return two_colours()


@pytest.fixture
def job(tmp_path):
    return job_of(Colours(), tmp_path)


@pytest.fixture
def work(slide, job, tmp_path) -> ScoreSession:
    scores, seen = score(slide, PURPLE, job, Task())
    return ScoreSession(seen, scores, TileLabels(tmp_path / "marks.csv"))


def calibrate(work: ScoreSession, text: str = "purple") -> None:
    item = work.to_fit(text)
    work.take(text, None if item is None else fit_all([item], Task())[text])


def test_without_marks_the_text_alone_speaks(work):
    assert work.origin("purple") == "by text only"
    assert work.to_fit("purple") is None
    (region,) = find_regions(work.scores, "purple")
    assert region.outline.exterior[:, 0].min() == PURPLE_ROWS.start - 0.5


def test_marks_move_the_threshold_and_undo_puts_it_back(work):
    before = work.scores.scores.copy()
    pink = [i for i in range(len(work.scores)) if not work.scores.inside("purple")[i]][:2]
    for tile in pink:
        work.mark("purple", tile, True)
        calibrate(work)
    assert work.origin("purple") == "from 2 marks"
    assert work.scores.thresholds["purple"].value < 0.5
    assert work.calibration("purple").yes == 2
    assert work.book.undo()
    calibrate(work)
    assert work.origin("purple") == "from 1 mark"
    assert work.book.undo()
    calibrate(work)
    assert work.origin("purple") == "by text only"
    assert np.array_equal(work.scores.scores, before)


def test_four_marks_of_both_kinds_bring_a_probe(work):
    inside = np.flatnonzero(work.scores.inside("purple"))
    outside = np.flatnonzero(~work.scores.inside("purple"))
    for tile in (*inside[:2].tolist(), *outside[:2].tolist()):
        work.mark("purple", tile, tile in inside)
    calibrate(work)
    assert "probe" in work.scores.thresholds["purple"].origin
    assert work.calibration("purple").confidence == 1.0
    assert work.doubtful("purple") not in work.marks("purple")


def test_a_threshold_set_by_hand_goes_before_marks_until_it_is_released(work):
    work.set_threshold("purple", 1.0)
    assert work.is_manual("purple")
    assert work.origin("purple") == "set by hand"
    assert work.scores.thresholds["purple"].origin == "typed"
    work.mark("purple", 0, True)
    calibrate(work)
    assert work.scores.thresholds["purple"].value == 1.0
    work.set_threshold("purple", None)
    assert work.origin("purple") == "from 1 mark"
    with pytest.raises(PromptError, match="between 0 and 1"):
        work.set_threshold("purple", 1.5)


def test_another_text_keeps_what_was_said_of_the_first(work, job):
    work.set_threshold("purple", 0.7)
    work.mark("purple", 0, False)
    both = ScoreParams(("purple", "pink"), ("glass",))
    work.answer(ask(work.seen, both, job, Task()))
    assert work.texts == ("purple", "pink")
    assert work.scores.thresholds["purple"].value == 0.7
    assert work.marks("purple") == {0: False}
    work.answer(ask(work.seen, ScoreParams(("pink",), ("glass",)), job, Task()))
    work.answer(ask(work.seen, PURPLE, job, Task()))
    assert not work.is_manual("purple")


def test_the_gallery_shows_the_best_tiles_first(work, slide):
    found = gallery(slide, work.scores, "purple", count=4, pixels=24, task=Task())
    assert [f.tile for f in found] == work.scores.top("purple", 4).tolist()
    assert all(f.picture.shape == (24, 24, 3) for f in found)
    red, green, blue = found[0].picture.reshape(-1, 3).mean(axis=0)
    assert abs(red - 150) < 5
    assert abs(green - 110) < 5
    assert abs(blue - 180) < 5


def test_what_is_written_is_what_is_shown(work, slide, job, tmp_path):
    said = write_all(tmp_path / "out", work.scores, work.seen, None, Task())
    assert said.startswith("1 region, ")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"scores.zarr", "heatmap_1.tif", "tiles.csv", "regions.geojson"}


def test_marks_bind_at_any_threshold_before_and_after_they_are_learnt(work, tmp_path):
    """The highest tile is marked no and the lowest yes, which no threshold can do."""
    order = np.argsort(work.scores.column("purple"))
    low, high = int(order[0]), int(order[-1])
    work.mark("purple", low, True)
    work.mark("purple", high, False)
    for step in (lambda: None, lambda: calibrate(work), lambda: work.set_threshold("purple", 0.9)):
        step()
        inside = work.scores.inside("purple")
        assert (inside[low], inside[high]) == (True, False)
        covered = [
            any(fill([r.outline], work.scores.box(tile)).all()
                for r in find_regions(work.scores, "purple"))
            for tile in (low, high)
        ]  # fmt: skip
        assert covered == [True, False]
    work.mark("purple", high, None)
    assert work.scores.inside("purple")[high]
    assert work.book.undo()
    work.refresh("purple")
    assert not work.scores.inside("purple")[high]
    said = {"purple": {low: False, high: True}}
    found = finish(work.scores, work.seen, marks=said, thresholds={"purple": 1.0}, least_tiles=99)
    inside = found.scores.inside("purple")
    assert (inside[low], inside[high]) == (False, True)
    (region,) = found.regions  # fewer than 99 tiles, but one of them was marked yes
    assert fill([region.outline], work.scores.box(high)).all()
