"""A count corrected by hand: cells taken away, added, parted and joined, and all of it kept."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from five_discs import dark_things
from histoprompt.core.errors import LabelError, RegionError
from histoprompt.core.geometry import Box, Frame
from histoprompt.core.results import Mask
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.embeddings import EmbeddingCache
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.count import audit as count_audit
from histoprompt.pipelines.count.correction_log import FILE, CorrectionLog, CorrectionLost
from histoprompt.pipelines.count.corrections import (
    ClickedPlace,
    add_cell,
    along,
    between,
    delete_cells,
    mask_of,
    merge_cells,
    split_cell,
)
from histoprompt.pipelines.count.hand_measure import measured
from histoprompt.pipelines.count.hand_work import HandCell
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import CountFindings, KeptCount, open_or_run, write_work
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.prompts.segment import SegmentJob

pytestmark = pytest.mark.usefixtures("small_windows")

CHOICE = CountChoice(segmenter="classical-cells", tile=128)
RNG = np.random.default_rng(5)
FAINT = (200, 400)  # a disc too pale to be counted


def discs() -> np.ndarray:
    """Six discs of radius 10, two that touch, and a pale one, (300, 500, 3) uint8."""
    image = np.full((300, 500, 3), (235, 205, 220), float)
    rr, cc = np.mgrid[:300, :500]
    places = [
        (60, 60),
        (60, 140),
        (60, 220),
        (140, 60),
        (140, 140),
        (140, 220),
        (60, 360),
        (60, 377),
    ]
    for row, col in places:
        image[(rr - row) ** 2 + (cc - col) ** 2 <= 100] = (90, 55, 135)
    return np.clip(image + RNG.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


SLIDE = Slide.from_arrays("discs", [discs()], mpp=0.25)


def model(card: ModelCard, *given: object) -> object:
    """The plugin's own model of clicks, and cells that are dark."""
    return registry.load_model(card, *given) if card.role == "prompt" else dark_things()


@pytest.fixture(scope="module")
def manager() -> ModelManager:
    return ModelManager("cpu", 100.0, load=model)


@pytest.fixture
def work(monkeypatch, tmp_path, manager) -> KeptCount:
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    return opened(manager)


def opened(manager: ModelManager) -> KeptCount:
    return open_or_run(SLIDE, CHOICE, manager, SLIDE.box, task=Task())


def at(work: KeptCount, row: int, col: int) -> int:
    return int(work.corrected().progress.store.read(Box(row, col, row + 1, col + 1))[0, 0])


def disc(row: int, col: int, radius: int = 8) -> Mask:
    side = 2 * radius + 1
    rr, cc = np.mgrid[:side, :side] - radius
    box = Box(row - radius, col - radius, row + radius + 1, col + radius + 1)
    return Mask(rr**2 + cc**2 <= radius**2, Frame(box, box.shape))


def put(work: KeptCount, mask: Mask) -> int:
    """A cell of this mask."""
    cells = measured(work.corrected(), [mask], (), Task())
    return work.log.make("add", (), cells, mask.frame.box).cells[0].id


def test_a_cell_taken_away_is_gone_from_labels_table_and_tally(work):
    cell = at(work, 60, 60)
    before = len(work.cells)
    delete_cells(work, [cell], Task())
    now = work.corrected()
    assert at(now, 60, 60) == 0
    assert cell not in now.cells.id
    assert len(now.cells) == before - 1 == len(now.progress.store)
    assert str(now.by_hand) == "corrected by hand: +0 -1"
    assert at(work, 60, 140) > 0
    # what was counted stays
    assert (work.progress.store.corrected(None).read(SLIDE.box) == cell).any()
    assert len(work.found) == before


def test_a_missed_cell_is_outlined_by_a_model_where_one_clicks(work, manager):
    job = SegmentJob(manager, EmbeddingCache(1 << 20), registry.card("classical"))
    cell = at(work, 140, 140)
    delete_cells(work, [cell], Task())
    made = add_cell(work, ClickedPlace(140, 140), job, Task()).cells[0]
    now = work.corrected()
    assert at(now, 140, 140) == made.id == len(work.found) + 1
    assert made.area_um2 == pytest.approx(np.pi * 100 * 0.25**2, rel=0.2)
    assert np.hypot(made.row - 140, made.col - 140) < 1.5
    assert str(now.by_hand) == "corrected by hand: +1 -1"
    with pytest.raises(LabelError, match=f"Cell {made.id} is here already"):
        add_cell(work, ClickedPlace(140, 140), job, Task())


def test_cells_are_added_inside_what_is_counted_only(monkeypatch, tmp_path, manager):
    monkeypatch.setenv("HISTOPROMPT_HOME", str(tmp_path / "home"))
    small = open_or_run(SLIDE, CHOICE, manager, Box(0, 0, 100, 180), task=Task())
    job = SegmentJob(manager, EmbeddingCache(1 << 20), registry.card("classical"))
    with pytest.raises(RegionError, match="Nothing is counted here"):
        add_cell(small, ClickedPlace(140, 140), job, Task())


def test_a_cell_made_by_hand_is_measured_as_the_program_measures(work):
    cell = at(work, 140, 60)
    row = work.row_of(cell)
    mask = mask_of(work, cell)
    delete_cells(work, [cell], Task())
    again = work.corrected()
    back = put(again, mask)
    now = work.corrected()
    mine = now.row_of(back)
    assert np.allclose(
        now.cells.features[mine], work.found.features[row], rtol=1e-4, equal_nan=True
    )
    for column in ("row", "col", "area_um2"):
        here, there = getattr(now.cells, column)[mine], getattr(work.found, column)[row]
        assert here == pytest.approx(there, abs=0.5)


def test_cells_are_joined_and_parted_again(work):
    left, right = at(work, 60, 60), at(work, 60, 140)
    merged = merge_cells(work, [left, right], Task()).cells[0]
    now = work.corrected()
    assert at(now, 60, 60) == at(now, 60, 140) == merged.id
    assert merged.area_um2 == pytest.approx(
        sum(work.cells.area_um2[work.row_of(i)] for i in (left, right)), rel=0.05
    )
    first = split_cell(work, merged.id, along([(20, 100), (100, 100)]), Task())
    assert [at(work, 60, 60), at(work, 60, 140)] == sorted(
        (c.id for c in first.cells), key=lambda i: next(c.col for c in first.cells if c.id == i)
    )
    assert str(work.corrected().by_hand) == "corrected by hand: +0 -0, 1 split, 1 merged"
    assert len(work.corrected().cells) == len(work.found)


def test_two_clicks_part_touching_cells_where_they_are_narrowest(work):
    both = np.zeros((41, 61), bool)
    rr, cc = np.mgrid[:41, :61]
    for col in (20, 38):
        both |= (rr - 20) ** 2 + (cc - col) ** 2 <= 100
    whole = put(work, Mask(both, Frame(Box(220, 300, 261, 361), both.shape)))
    parts = split_cell(
        work, whole, between(ClickedPlace(240, 320), ClickedPlace(240, 338)), Task()
    ).cells
    assert [round(c.col) for c in parts] == pytest.approx([319, 339], abs=1)
    assert sum(c.mask.array.sum() for c in parts) == both.sum()
    with pytest.raises(LabelError, match="was not parted"):
        split_cell(work, parts[0].id, along([(230, 500), (250, 500)]), Task())


def test_steps_are_taken_back_and_done_again_in_any_order_that_fits(work):
    cell = at(work, 60, 220)
    mask = mask_of(work, cell)
    away = delete_cells(work, [cell], Task())
    mine = put(work, mask)
    log = work.log
    assert not log.undo(away.number), "another cell lies there now"
    added = log.steps[-1]
    assert log.undo(added.number)
    assert log.undo(away.number)
    assert at(work, 60, 220) == cell
    assert not log.undo(away.number), "it is taken back already"
    assert not log.redo(added.number), "the counted cell is there again"
    assert log.redo(away.number)
    assert log.redo(added.number)
    assert at(work, 60, 220) == mine


def test_ids_are_never_given_twice(work):
    first = put(work, disc(250, 60))
    assert work.log.undo(work.log.steps[-1].number)
    assert put(work, disc(250, 60)) == first + 1


def test_another_window_takes_up_what_this_one_wrote(work, manager):
    other = opened(manager)
    cell = at(work, 60, 60)
    delete_cells(work, [cell], Task())
    with pytest.raises((CorrectionLost, LabelError)):
        delete_cells(other, [cell], Task())
    put(other, disc(250, 60))
    mine = put(work, disc(250, 120))
    assert mine == len(work.found) + 2
    assert len(work.corrected().cells) == len(opened(manager).cells) == len(work.found) + 1


def test_a_process_killed_at_any_byte_leaves_the_count_before_or_after_the_step(work, manager):
    delete_cells(work, [at(work, 60, 60)], Task())
    path = work.folder / FILE
    before = path.read_bytes()
    put(work, disc(250, 60))
    after = path.read_bytes()
    assert after[: len(before)] == before
    store = work.progress.store.corrected(None)
    facts = (work.folder, store.counted, store.digest, work.found.feature_names, store.read)
    for size in range(len(before), len(after)):
        path.write_bytes(after[:size])
        log = CorrectionLog(*facts)
        assert str(log.now.tally) == "corrected by hand: +0 -1"
        assert log.notes == []
        assert path.read_bytes() == before
    path.write_bytes(after)
    assert str(CorrectionLog(*facts).now.tally) == "corrected by hand: +1 -1"
    for size in range(0, len(before), 7):  # and the very first one
        path.write_bytes(before[:size])
        assert len(CorrectionLog(*facts).now) == len(work.found) - (size == len(before))


def test_corrections_of_other_cells_are_set_aside(work, manager):
    delete_cells(work, [at(work, 60, 60)], Task())
    store = work.progress.store.corrected(None)
    log = CorrectionLog(work.folder, store.counted, "other", work.found.feature_names, store.read)
    assert not log.now.tally.touched
    assert "kept in corrections.journal-1" in log.notes[0]
    assert (work.folder / "corrections.journal-1").is_file()


def test_damage_in_the_middle_is_told_and_kept(work):
    for cell in (at(work, 60, 60), at(work, 60, 140), at(work, 60, 220)):
        delete_cells(work, [cell], Task())
    path = work.folder / FILE
    data = bytearray(path.read_bytes())
    middle = data.rfind(b"HPR1", 0, data.rfind(b"HPR1")) + 30
    data[middle] ^= 255
    path.write_bytes(bytes(data))
    store = work.progress.store.corrected(None)
    log = CorrectionLog(
        work.folder, store.counted, store.digest, work.found.feature_names, store.read
    )
    assert log.now.tally.removed == 1
    assert "damaged" in log.notes[0]
    assert list(work.folder.glob("corrections.journal.cut-*"))


def test_files_hold_the_corrected_cells_and_say_so(work, tmp_path):
    gone = [at(work, 60, 60), at(work, 60, 140)]
    delete_cells(work, gone, Task())
    mine = put(work, disc(250, 60))
    now = work.corrected()
    write_work(now, now.cells, tmp_path / "out", CountFindings(), task=Task())
    made = json.loads((tmp_path / "out" / "count.json").read_text())
    assert made["by_hand"]["told"] == "corrected by hand: +1 -2"
    assert made["by_hand"]["found"] == len(work.found)
    assert made["cells"] == made["by_hand"]["cells"] == len(work.found) - 1
    cells = read_cells(tmp_path / "out" / "cells.csv")
    assert set(cells.id) == set(work.found.id) - set(gone) | {mine}
    assert cells.feature_names == work.cells.feature_names, "nothing learns from who made a cell"
    with (tmp_path / "out" / "cells.csv").open() as file:
        by_hand = {int(row["id"]): row["by_hand"] for row in csv.DictReader(file)}
    assert by_hand == {i: "1" if i == mine else "0" for i in cells.id.tolist()}
    labels = tifffile.imread(tmp_path / "out" / "labels.tif")
    assert set(np.unique(labels)) == {0, *cells.id.tolist()}
    outlines = json.loads((tmp_path / "out" / "cells.geojson").read_text())["features"]
    assert {int(f["properties"]["metadata"]["histoprompt_id"]) for f in outlines} == set(cells.id)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Corrected by hand: +1 -2" in page
    with (tmp_path / "out" / "counts.csv").open() as file:
        assert next(csv.DictReader(file))["count"] == str(len(cells))


def test_an_audit_is_of_the_cells_there_were(work):
    audit = count_audit.start_audit(work, work.cells, 3, 0, task=Task())
    step = delete_cells(work, [at(work, 60, 60)], Task())
    assert not audit.fits(work.corrected().cells)
    work.log.undo(step.number)
    assert audit.fits(work.corrected().cells)


def test_labels_are_corrected_at_every_level(work):
    now = work.corrected()
    delete_cells(work, [at(work, 60, 60)], Task())
    mine = put(work, disc(250, 60, 9))
    by_hand = work.log.now
    whole = now.progress.store.corrected(None).read(SLIDE.box)
    for step in (1, 2, 4):
        small = by_hand.onto(whole[step // 2 :: step, step // 2 :: step], (0, 0), step)
        full = work.corrected().progress.store.read(SLIDE.box)
        assert np.array_equal(small, full[step // 2 :: step, step // 2 :: step])
        assert (small == mine).any()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("adur"), st.integers(0, 11)), max_size=14))
def test_whatever_is_done_cells_share_no_pixel_and_sums_are_right(tmp_path_factory, steps):
    """Against a plain model: the set of cells there are."""
    folder = tmp_path_factory.mktemp("log")
    found = np.zeros((40, 120), np.uint32)
    for i in range(6):
        found[2:10, 20 * i + 2 : 20 * i + 10] = i + 1

    def read(box: Box) -> np.ndarray:
        return found[box.slices()]

    def log_again() -> CorrectionLog:
        return CorrectionLog(folder, 6, "digest", ("size",), read)

    log, made = log_again(), []
    for what, number in steps:
        place = Box(
            2 + 10 * (number % 3),
            20 * (number // 2) + 4,
            9 + 10 * (number % 3),
            20 * (number // 2) + 12,
        )
        try:
            if what == "a":
                mask = Mask(np.ones(place.shape, bool), Frame(place, place.shape))
                cell = HandCell(0, *place.centre, 1.0, mask, np.ones(1, np.float32))
                made.append(log.make("add", (), [cell], place).number)
            elif what == "d":
                ids = [*range(1, 7), *(c.id for c in log.now.cells)]
                cell = ids[number % len(ids)]
                where = (
                    log.now.by_id[cell].box if cell > 6 else Box(0, 20 * cell - 20, 40, 20 * cell)
                )
                made.append(log.make("delete", [cell], (), where).number)
            elif made:
                (log.undo if what == "u" else log.redo)(made[number % len(made)])
        except CorrectionLost:
            continue
        now = log.now
        painted = now.onto(found, (0, 0))
        there = set(np.unique(painted).tolist()) - {0}
        assert there == {i for i in range(1, 7) if i in now} | {c.id for c in now.cells}
        assert len(now) == len(there) == now.tally.cells
        assert now.tally.cells == 6 + now.tally.added - now.tally.removed
        for c in now.cells:  # whole, no pixel lost to another
            assert (painted[c.box.slices()] == c.id).all()
    again = log_again().now
    assert again.gone == log.now.gone
    assert [c.id for c in again.cells] == [c.id for c in log.now.cells]
