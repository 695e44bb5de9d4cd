"""All nuclei into the label store: one edit, nothing committed twice."""

from __future__ import annotations

import numpy as np
import pytest

from five_discs import CARD, MIDDLES, dark_things, discs
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import Cancelled, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.commit_nuclei import commit_nuclei


@pytest.fixture
def slide() -> Slide:
    return Slide.from_arrays("discs", [discs()], mpp=0.25)


@pytest.fixture
def store(slide, tmp_path):
    with LabelStore.open(tmp_path / "labels", slide.shape, slide.key) as store:
        yield store


def _fill(slide, store, region=None, task=None, **more):
    manager = ModelManager("cpu", 100.0, load=dark_things)
    return commit_nuclei(
        slide, region or slide.box, store, card=CARD, manager=manager, task=task or Task(), **more
    )


def test_every_nucleus_is_committed_in_one_undoable_edit(slide, store):
    count, change = _fill(slide, store)
    assert count == store.count == len(MIDDLES)
    assert change.op == "all nuclei"
    labels = store.read(slide.box)
    assert len({int(labels[m]) for m in MIDDLES}) == len(MIDDLES)
    store.undo()
    assert store.count == 0


def test_what_is_committed_already_stays_as_it_is(slide, store):
    array = np.ones((11, 11), bool)
    row, col = MIDDLES[0]
    mine = store.commit(Mask(array, Frame.of_array(array, (row - 5, col - 5))))
    before = store.read(slide.box) == mine
    count, _ = _fill(slide, store)
    assert count == len(MIDDLES) - 1
    assert np.array_equal(store.read(slide.box) == mine, before)
    again, change = _fill(slide, store)
    assert (again, change) == (0, None)


def test_a_cancelled_run_commits_nothing(slide, store):
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        _fill(slide, store, task=task)
    assert store.count == 0


def test_a_box_takes_the_nuclei_whose_centroid_it_holds_and_takes_them_whole(slide, store):
    (row, col), (_, other) = MIDDLES[:2]
    count, _ = _fill(slide, store, Box(row - 3, 0, row + 3, other - 1))
    assert count == 1
    found = store.read(slide.box) > 0
    disc = slide.read(slide.box, slide.shape)[0][..., 0] < 128
    assert np.array_equal(
        found,
        disc & (np.indices(disc.shape)[1] < (col + other) / 2) & (np.indices(disc.shape)[0] < 80),
    )


def test_nothing_in_the_region_changes_nothing(slide, store):
    assert _fill(slide, store, Box(0, 0, 20, 20)) == (0, None)


def test_too_large_a_region_is_refused_with_its_size(store):
    big = Slide.from_arrays("big", [np.zeros((5000, 300, 3), np.uint8)], mpp=0.25)
    with pytest.raises(RegionError, match="5000 x 300"):
        _fill(big, store, Box(0, 0, 5000, 300))


def test_nuclei_get_the_class_that_was_asked_for(slide, store):
    array = np.ones((11, 11), bool)
    row, col = MIDDLES[0]
    mine = store.commit(Mask(array, Frame.of_array(array, (row - 5, col - 5))))
    count, change = _fill(slide, store, class_name="lymphocyte")
    new = [i for i in store.ids().tolist() if i != mine]
    assert count == len(new) == len(MIDDLES) - 1
    assert {store.class_of(i) for i in new} == {"lymphocyte"}
    assert store.class_of(mine) == ""
    assert change.op == "all nuclei"
    store.undo()
    assert store.ids().tolist() == [mine]
    store.redo()
    assert {store.class_of(i) for i in new} == {"lymphocyte"}


@pytest.mark.parametrize("rule", ["keep", "overwrite"])
def test_the_overlap_rule_says_who_gets_shared_pixels(slide, store, rule):
    row, col = MIDDLES[0]
    array = np.ones((3, 3), bool)  # a ninth of the nucleus, no reason to leave it out
    mine = store.commit(Mask(array, Frame.of_array(array, (row - 1, col - 1))))
    count, _ = _fill(slide, store, rule=rule)
    assert count == len(MIDDLES)
    assert (store.read(slide.box)[row, col] == mine) == (rule == "keep")
