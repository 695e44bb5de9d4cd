"""What a running count shows of itself: the cells so far, and what is known before the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dark_discs import SLIDE, WINDOWED, Stop, field_of_discs, job
from five_discs import DarkThings
from histoprompt.core.errors import MissingMppError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Note, Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.cells.find import ModelCells
from histoprompt.pipelines.cells.stains import stains_of
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import open_or_run
from histoprompt.pipelines.count.region import count_region
from histoprompt.pipelines.count.run import CountJob, CountProgress, count_cells
from histoprompt.pipelines.count.shown_labels import ranged
from histoprompt.pipelines.count.slide import count_slide
from histoprompt.pipelines.count.so_far import CellsSoFar
from histoprompt.pipelines.count.store import CountStore
from histoprompt.pipelines.count.store_files import record_type
from histoprompt.pipelines.count.tile_log import TileLogHeader

DARK = field_of_discs((300, 330))[..., :1] < 128
BROWN = np.where(DARK, (110, 60, 25), (225, 222, 228)).astype(np.uint8)


class Strange(DarkThings):
    """Knows that it learnt from something else."""

    def strangeness(self, fields: list[np.ndarray]) -> np.ndarray:
        return np.full(len(fields), 2.0)


def count(folder: Path, task: Task, tile: int = 150) -> CountProgress:
    ground = count_region(SLIDE, SLIDE.box)
    dyes = stains_of(SLIDE, ground.tissue, ground.box)
    return count_cells(SLIDE, ground, dyes, job(tile=tile), folder=folder, task=task)


def test_cells_appear_with_the_tile_that_found_them_and_where_they_end_up(tmp_path):
    shown: list[tuple[int, np.ndarray]] = []

    def hear(news: object) -> None:
        assert isinstance(news, CellsSoFar)
        shown.append((len(news), np.asarray(news.levels[0])))

    progress = count(tmp_path, Task(hear=hear))
    final = progress.store.read(SLIDE.box)
    assert len(shown) == progress.total - 1, "the last tile comes with the count itself"
    for line, (cells, drawn) in zip(progress.store.done, shown, strict=False):
        assert cells == line.cells
        assert np.array_equal(drawn > 0, (final > 0) & (final <= cells))
    progress.store.close()


def test_a_count_that_goes_on_shows_what_was_there_before(tmp_path):
    with count(tmp_path, Stop(4)).store as store:
        before = store.counted
    heard: list[int] = []
    with count(tmp_path, Task(hear=lambda news: heard.append(len(news)))).store:
        assert heard[0] == before > 0


def test_a_finished_count_tells_nothing(tmp_path):
    count(tmp_path, Task()).store.close()
    heard: list[object] = []
    count(tmp_path, Task(hear=heard.append)).store.close()
    assert heard == []


@pytest.mark.parametrize("corner", [(0, 0), (3, 1), (37, 90)])
def test_every_level_shows_the_pixel_in_the_middle_of_those_it_stands_for(tmp_path, corner):
    """One cell at a time in a region of three levels, whose tiles begin anywhere."""
    region = Box(5, 7, 2805, 3007)
    labels = np.zeros(region.shape, np.int32)
    with CountStore(tmp_path, region, {}) as store:
        so_far = CellsSoFar(store)
        for k, size in enumerate([(40, 55), (61, 7), (1, 900)]):
            r, c = corner[0] + 500 * k, corner[1] + 300 * k
            box = Box(5 + r, 7 + c, 5 + r + size[0], 7 + c + size[1])
            drawn, _ = store.draw(np.ones(size, np.int32), box)
            records = np.zeros(1, record_type(0))
            records["code"] = k % 2
            store.append((0, k), records, TileLogHeader((), ("a", "b")), box)
            labels[r : r + size[0], c : c + size[1]] = k % 2 + 1
            assert drawn.all()
        assert so_far.take()
        assert not so_far.take()
        assert [level.shape for level in so_far.levels] == [(2800, 3000), (1400, 1500), (700, 750)]
        for k, level in enumerate(so_far.levels):
            half = (1 << k) // 2
            assert np.array_equal(np.asarray(level[:, :]), labels[half :: 1 << k, half :: 1 << k])
        colours = store.class_colours()
        assert so_far.colours == [colours["a"], colours["b"]]


@pytest.mark.parametrize(
    "index",
    [
        3,
        (3, 4),
        (slice(2, 9), slice(None, None, 2)),
        (Ellipsis, 5),
        slice(4, 4),
        (-1, slice(1, -1)),
    ],
)
def test_an_index_reads_a_block_and_takes_of_it_what_numpy_would(index):
    array = np.arange(120).reshape(10, 12)
    where, steps = ranged(index, array.shape)
    assert np.array_equal(array[where][steps], array[index])


def test_notes_come_before_the_first_cell(tmp_path):
    """Brown nuclei, and a slide unlike what was learnt from: one may stop at once."""
    told: list[str] = []
    slide = Slide.from_arrays("discs", [BROWN], mpp=0.25)

    def hear(news: object) -> None:
        told.append(news.text if isinstance(news, Note) else "cells")

    source = ModelCells(WINDOWED, ModelManager("cpu", 100.0, load=lambda *_: Strange()))
    how = CountJob(source, {"segmenter": "histoprompt-cells"}, 128)
    counted = count_slide(slide, how, tmp_path, Task(hear=hear))
    assert "immunostain" in told[0]
    assert "differs from the tiles" in told[1]
    assert set(told[2:]) == {"cells"}
    assert tuple(told[:2]) == counted.notes[:2]


def test_a_slide_without_a_pixel_size_is_refused_before_a_model_looks(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path))
    slide = Slide.from_arrays("discs", [BROWN])
    manager = ModelManager("cpu", 100.0, load=lambda *_: Strange())
    with pytest.raises(MissingMppError):
        open_or_run(slide, CountChoice("classical-cells"), manager, None, task=Task())
