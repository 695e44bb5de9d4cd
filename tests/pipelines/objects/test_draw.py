"""Regions and objects drawn freehand or taken by the wand, kept as one edit."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk, polygon2mask

from histoprompt.annotations.store import LabelStore
from histoprompt.core.classical.wand import like_it
from histoprompt.core.errors import Cancelled, LabelStoreError, PromptError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.objects.draw import Keeping, keep_outline
from histoprompt.pipelines.objects.wand import SIDE, Touch, WandParams, keep_wand, wand

PINK, PURPLE = (230, 180, 200), (120, 60, 140)


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "labels", (2500, 3000), "k") as opened:
        yield opened.on("regions")


def test_an_outline_over_many_pieces_is_one_region_and_one_edit(store):
    corners = np.array([[50.1, 45.2], [2350.3, 150.1], [2150.2, 2800.4], [350.5, 2050.1]])
    made, change = keep_outline(store, corners, Keeping(class_name="tumour"), Task())
    wanted = polygon2mask((2500, 3000), corners)  # its own rule at the very edge
    got = store.read(store.box) == made
    assert abs(int(got.sum()) - int(wanted.sum())) < 10
    assert np.count_nonzero(got != wanted) < 10
    assert (store.class_of(made), store.count, change is not None) == ("tumour", 1, True)
    store.undo()
    assert store.count == 0


def test_what_crosses_itself_leaves_no_hole_and_others_keep_their_pixels(store):
    first, _ = keep_outline(
        store, np.array([[10, 10], [10, 60], [60, 60], [60, 10]]), Keeping(), Task()
    )
    eight = np.array([[30, 5], [90, 90], [30, 90], [90, 5]], float)
    second, _ = keep_outline(store, eight, Keeping(), Task())
    labels = store.read(Box(0, 0, 100, 100))
    assert np.count_nonzero(labels == first) == 50 * 50
    assert second not in labels[10:60, 10:60]
    with pytest.raises(LabelStoreError, match="others have all"):
        keep_outline(store, np.array([[20, 20], [20, 30], [30, 30], [30, 20]]), Keeping(), Task())
    with pytest.raises(LabelStoreError, match="beyond the slide"):
        keep_outline(store, np.array([[-90, -90], [-90, -50], [-50, -50]]), Keeping(), Task())
    assert store.count == 2


def test_a_cancel_leaves_nothing(store):
    task = Task(report=lambda told: task.cancel() if told.done else None)
    corners = np.array([[0, 0], [0, 2499], [2499, 2499], [2499, 0]], float)
    with pytest.raises(Cancelled):
        keep_outline(store, corners, Keeping(), task)
    assert store.count == 0


def picture(radius: int = 150) -> np.ndarray:
    """A purple gland with a pink hole on pink, and a second one that a thin line joins to it."""
    out = np.full((600, 900, 3), PINK, np.uint8)
    for row, col, size, colour in (
        (300, 250, radius, PURPLE), (300, 250, 30, PINK), (300, 650, radius, PURPLE),
    ):  # fmt: skip
        out[disk((row, col), size, shape=out.shape[:2])] = colour
    out[299:301, 250 + radius - 5 : 650 - radius + 5] = PURPLE
    noise = np.random.default_rng(0).normal(0, 6, out.shape)
    return np.clip(out + noise, 0, 255).astype(np.uint8)


def test_the_wand_takes_what_looks_alike_with_its_hole_and_not_what_a_thread_joins():
    mask = like_it(picture(), (200, 250), 15.0)
    wanted = np.zeros(mask.shape, bool)
    wanted[disk((300, 250), 150, shape=mask.shape)] = True
    assert np.count_nonzero(mask & wanted) / np.count_nonzero(mask | wanted) > 0.97
    assert like_it(picture(), (10, 10), 15.0)[590, 890]
    assert like_it(picture(), (10, 10), 100.0).all()


def test_the_wand_on_a_coarse_view_lies_where_it_was_clicked_and_extends_a_region(tmp_path):
    side = 2 * SIDE
    tissue = np.full((side, side, 3), PINK, np.uint8)
    for row in (500, 1500):
        tissue[disk((row, 1000), 350, shape=tissue.shape[:2])] = PURPLE
    slide = Slide.from_arrays("glands", tissue, mpp=0.5)
    area = Frame(slide.box, (side, side))
    with LabelStore.open(tmp_path / "labels", slide.shape, slide.key) as store:
        regions = store.on("regions")
        first, _ = keep_wand(slide, regions, Touch(area, (500, 1000)), Keeping(), Task())
        assert regions.area_of(first) == pytest.approx(np.pi * 350**2, rel=0.02)
        again, _ = keep_wand(slide, regions, Touch(area, (1500, 1000)), Keeping(into=first), Task())
        assert (again, regions.count, store.count) == (first, 1, 0)
        box = regions.box_of(first)
        assert np.allclose(tuple(box), (150, 650, 1850, 1350), atol=5)
        with pytest.raises(PromptError, match="beside"):
            wand(slide, Touch(area, (-5, 3)), Task())
    with pytest.raises(Exception, match="Wand"):
        WandParams(0.0)
