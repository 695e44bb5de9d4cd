"""The Text dock in a real viewer on the sample slide: words, maps, marks, regions, counts, undo."""

from __future__ import annotations

import csv
import threading

import numpy as np
import pytest
from pointer import Pointer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from histoprompt._qt.layers.make import box_vertices
from histoprompt._qt.shell.drawn_area import DrawnArea
from histoprompt._qt.text.dock import TextDock
from histoprompt.core.cell_table import UNSURE
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import cell_colours
from histoprompt.core.scores.files import read_scores
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.embedding.tile_plan import plan_tiles
from histoprompt.pipelines.embedding.tiles import EmbedJob
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.text import partial_map as growing_map
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.pipelines.text.tile_labels import TileLabels, tile_labels_path

pytestmark = [pytest.mark.gui, pytest.mark.usefixtures("small_windows")]


@pytest.fixture
def text(kept_text_dock) -> TextDock:
    """The Text dock on the whole sample slide."""
    kept_text_dock.area.choose("slide")
    return kept_text_dock


def type_word(dock: TextDock, word: str) -> None:
    dock.words._line.setText(word)
    dock.words._line.returnPressed.emit()


def find(dock: TextDock, until, *words: str) -> None:
    for word in words:
        type_word(dock, word)
        until(lambda word=word: dock.control.work is not None and word in dock.control.work.texts)
    until(lambda: dock.gallery.count() > 0)


def told_failures(dock: TextDock) -> list[str]:
    """Every failure that the dock tells from now on."""
    said: list[str] = []
    dock.phrasing.failed.connect(said.append)
    return said


def idle(dock: TextDock) -> bool:
    return not any(job.active for job in dock.control.batch._running)


def click(dock: TextDock, row: float, col: float, *held: str) -> None:
    """A click on the canvas at a level-0 position, with keys held."""
    Pointer(dock.annotator).click((row, col), *held)


def middle(dock: TextDock, tile: int) -> tuple[float, float]:
    return dock.control.work.scores.box(tile).centre


def tiles_shown(dock: TextDock, layer) -> int:
    """How many tiles of the slide have a score in a heat map."""
    slide, card = dock.annotator.slide, dock.models.card
    image = dock.annotator.image
    places = [image.data_to_world(tile.inner.centre) for tile in plan_tiles(slide, card).grid]
    return int(np.isfinite([layer.get_value(at, world=True) for at in places]).sum())


def test_the_heat_map_lies_on_its_tiles_and_on_tissue_only(text, until):
    find(text, until, "tumour")
    annotator, work = text.annotator, text.control.work
    layer = text.control.layers.heat("tumour")
    plan = plan_tiles(annotator.slide, text.models.card)
    assert tiles_shown(text, layer) == len(plan) == len(work.scores)
    ends = layer.data_to_world(np.array(layer.data.shape) - 0.5)
    assert np.allclose(ends, annotator.image.data_to_world(np.array(annotator.slide.shape) - 0.5))
    for tile in (0, len(plan) // 2, len(plan) - 1):
        world = annotator.image.data_to_world(middle(text, tile))
        assert layer.get_value(world, world=True) == pytest.approx(
            work.scores.column("tumour")[tile]
        )
    assert tuple(layer.contrast_limits) == (0, 1)
    assert layer.metadata["histoprompt"]["model"] == "vocabulary"
    assert layer not in text.images.images
    assert "by text only" in text.calibration._origin.text()
    assert "tumour" in text._scale.text()


def test_another_word_is_answered_from_what_was_seen(text, until, monkeypatch):
    find(text, until, "tumour")
    seen = text.control.work.seen
    find(text, until, "stroma", "lymphocyte")
    assert text.control.work.seen is seen
    heat = text.control.layers.heat
    text.words._list.setCurrentRow(1)
    maps = [la for la in text.viewer.layers if la.name.startswith("score: ")]
    assert maps == [heat("stroma")]
    assert maps[0].name == "score: stroma"
    assert maps[0].metadata["histoprompt"]["text"] == "stroma"
    scores = text.control.work.scores
    tile = int(scores.top("stroma", 1)[0])
    place = text.annotator.image.data_to_world(middle(text, tile))
    assert maps[0].get_value(place, world=True) == pytest.approx(scores.column("stroma")[tile])
    assert text.control.text == "stroma"
    text.words._remove.click()
    until(lambda: text.control.work.texts == ("tumour", "lymphocyte"))
    assert heat("stroma") is None


def test_a_phrase_is_understood_and_can_be_taken_out(text, until):
    text.words._line.setText("TILs and lymphoid aggregates")
    text.words._on_add()
    until(lambda: text.understood.isVisibleTo(text))
    assert "understood as lymphocyte" in text.understood.note.text()
    assert text.words.texts == ("lymphocyte",)
    until(lambda: text.control.work is not None)
    text.understood.button.click()
    assert text.words.texts == ()
    assert not text.understood.isVisibleTo(text)
    text.session.steps.undo()
    assert text.words.texts == ("lymphocyte",)
    text.session.steps.undo()  # what it was understood as, too
    assert text.words.texts == ()


def test_marks_choose_among_ticked_wordings(text, until, tmp_path):
    text.draft.ticked.emit("tumour | carcinoma | stroma")
    until(lambda: text.control.work is not None and not text.control.batch.active)
    work = text.control.work
    best = work.scores.top("tumour", 10**6).tolist()
    text.calibration._wordings.click()
    until(lambda: "mark 3 tiles yes and 3 no" in text._status.text())
    for tile in best[:3]:
        text.control.mark_at(*middle(text, tile), True)
    for tile in best[-3:]:
        text.control.mark_at(*middle(text, tile), False)
    text.calibration._wordings.click()
    until(lambda: "left out" in text._status.text())
    assert "stroma" not in text.words.texts[0]
    (step,) = text._steps(Needs.of(tmp_path / "recipe.toml"))
    assert step.params.texts == text.words.texts
    text.session.steps.undo()
    assert text.words.texts == ("tumour | carcinoma | stroma",)


def test_a_word_it_does_not_know_is_refused_with_what_it_knows(text, until):
    type_word(text, "giraffe")
    until(lambda: "giraffe" in text._status.text())
    assert "tumour" in text._status.text()
    assert text.control.work is None
    assert text.words._line.text() == text.words._line.selectedText() == "giraffe"
    assert text.words.texts == ()
    QTest.keyClicks(text.words._line, "fat")
    assert text.words._line.text() == "fat"
    assert "giraffe" not in text._status.text()
    find(text, until, "tumour")
    type_word(text, "zebra")
    until(lambda: "zebra" in text._status.text())
    assert text.words.texts == text.control.work.texts == ("tumour",)
    text.control.mark_at(*middle(text, 0), True)
    until(lambda: "zebra" not in text._status.text())
    completer = text.words._line.completer()
    completer.setCompletionPrefix("lymph")
    assert completer.currentCompletion() == "lymphocyte"


def test_of_two_words_on_their_way_the_one_refused_is_taken_back(text, until):
    """The second one is typed before the first is refused; it stays, and is looked for."""
    said = told_failures(text)
    for word in ("giraffe", "tumour"):
        QTest.keyClicks(text.words._line, word)
        QTest.keyClick(text.words._line, Qt.Key.Key_Return)
    until(lambda: text.control.work is not None and idle(text))
    assert text.words.texts == text.control.work.texts == ("tumour",)
    assert text.words._line.selectedText() == "giraffe"
    assert len(said) == 1
    assert "'giraffe'" in said[0]


def test_two_refused_words_are_both_taken_back_and_named(text, until):
    find(text, until, "tumour")
    said = told_failures(text)
    text.words._list.setCurrentRow(0)
    for word in ("giraffe", "zebra"):
        QTest.keyClicks(text.words._line, word)
        QTest.keyClick(text.words._line, Qt.Key.Key_Return)
    until(lambda: text.words.texts == ("tumour",))
    assert text.control.work.texts == ("tumour",)
    assert [name in " ".join(said) for name in ("'giraffe'", "'zebra'")] == [True, True]


def test_a_word_that_is_there_in_another_spelling_is_taken_back(text, until):
    find(text, until, "tumour")
    type_word(text, "Tumours")
    until(lambda: "given twice" in text._status.text())
    assert text.words.texts == ("tumour",)
    assert text.words._line.selectedText() == "Tumours"


def test_what_texts_are_held_against_is_refused_and_no_text_is(text, until):
    find(text, until, "tumour")
    text.words._contrasts.setText("giraffe")
    text.words._contrasts.editingFinished.emit()
    until(lambda: "giraffe" in text._status.text())
    assert text.words.texts == ("tumour",)


def test_marks_move_the_threshold_live_and_are_undone(text, until):
    find(text, until, "tumour")
    work, control = text.control.work, text.control
    # the dock came beside the slide after it was opened: bring all tiles into sight again
    text.viewer.fit_to_view()
    text.calibration._yes.click()
    assert text.viewer.layers.selection.active is control.layers.marks
    tiles = work.scores.top("tumour", 10**6).tolist()
    for tile in tiles[:2]:
        click(text, *middle(text, tile))
    for tile in tiles[-2:]:
        click(text, *middle(text, tile), "Control")
    until(lambda: "from 4 marks" in text.calibration._origin.text())
    assert "4 marks (2 yes, 2 no)" in text.calibration._trust.text()
    assert len(control.layers.marks.data) == 4
    path = tile_labels_path(text.annotator.slide.key)
    assert TileLabels(path).of(work.scores, "tumour") == work.marks("tumour")
    text.session.steps.undo()
    until(lambda: "from 3 marks" in text.calibration._origin.text())
    assert len(TileLabels(path)) == 3
    click(text, *middle(text, tiles[0]))
    assert tiles[0] not in work.marks("tumour")
    control.marking.toggle()
    assert text.calibration._no.isChecked()
    text.viewer.layers.selection.active = control.layers.heat("tumour")
    assert not text.calibration._no.isChecked()


def test_the_slider_cuts_regions_which_are_committed_and_taken_back(text, until):
    find(text, until, "tumour")
    store, control = text.annotator.store.on("regions"), text.control
    few = control.region_count
    assert few > 0
    text.calibration._slider.setValue(0.0)
    assert "set by hand" in text.calibration._origin.text()
    layer = next(la for la in text.viewer.layers if la.name == "scored_regions")
    assert layer.metadata["histoprompt"]["threshold"] == 0
    text.calibration._reset.click()
    assert control.region_count == few
    assert layer.features["tiles"].sum() == control.work.scores.inside("tumour").sum()
    text.hand_on._commit.click()
    until(lambda: store.count > 0 and idle(text))
    assert store.count == few
    inside = control.work.scores.inside("tumour")
    for tile in (int(inside.argmax()), int((~inside).argmax())):
        row, col = (round(v) for v in middle(text, tile))
        label = int(store.read(Box(row, col, row + 1, col + 1))[0, 0])
        assert (label > 0) == inside[tile]
        assert not label or store.class_of(label) == "tumour"
    text.session.steps.undo()
    assert store.count == 0


def table(dock: TextDock) -> list[tuple[str, ...]]:
    shown = dock.cells._table
    rows = range(shown.rowCount())
    return [tuple(shown.item(row, column).text() for column in range(4)) for row in rows]


def test_cells_are_counted_in_regions_named_and_exported(text, until, tmp_path):
    find(text, until, "lymphocyte")
    text.calibration._slider.setValue(0.4)
    text.cells.choose("classical-cells")
    text.cells._count.click()
    until(lambda: text.control.cells.counts is not None)
    counts = text.control.cells.counts
    assert len(counts.cells) > 10
    assert len(table(text)) == len(counts.names)
    assert "lymphocyte 0.40" in text.cells._note.text()
    text.cells._words.setText("tumour, lymphocyte")
    text.cells._name.click()
    until(lambda: "lymphocyte" in text.control.cells.counts.cells.classes)
    assert len(table(text)) == 3 * len(counts.names)
    text.control.regions.export(tmp_path / "out")
    until(lambda: "written to" in text._status.text())
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"heatmap_1.tif", "regions.geojson", "tiles.csv", "region_counts.csv"} <= names
    assert read_scores(tmp_path / "out" / "scores.zarr").thresholds["lymphocyte"].value == 0.4
    with (tmp_path / "out" / "region_cells.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(counts.cells)
    text.calibration._slider.setValue(0.6)
    assert "Changed since for lymphocyte" in text.cells._note.text()
    text.control.regions.export(tmp_path / "later")
    until(lambda: "later" in text._status.text() and idle(text))
    assert not (tmp_path / "later" / "region_counts.csv").exists()


def test_a_finished_count_is_named_by_words_and_corrected(text, until):
    counting, annotator = text.control.counting, text.annotator
    part = Box(1024, 256, 1536, 768)
    counting.count(annotator.slide, CountChoice(segmenter="classical-cells"), part)
    until(lambda: counting.work is not None and counting.work.complete)
    work = counting.work
    text.area._draw.click()
    DrawnArea(text.viewer, annotator.image).layer.add_rectangles(box_vertices(part))
    find(text, until, "tumour")
    text.calibration._slider.setValue(0.4)
    text.cells._count.click()
    until(lambda: text.control.cells.counts is not None)
    assert "Classical cells in the count there was" in text._status.text()
    assert counting.work is work
    ids = text.control.cells.counts.cells.id
    assert 10 < len(ids) <= len(counting.cells)
    text.cells._words.setText("tumour, lymphocyte")
    text.cells._name.click()
    until(lambda: "words" in counting.classes.how)
    named = counting.cells[ids - 1]
    assert named.classes == ("tumour", "lymphocyte", UNSURE)
    assert text.control.cells.counts.cells.class_names == named.class_names
    assert "unsure" in text._status.text()
    assert counting.classes.labelling.classes == ("tumour", "lymphocyte")
    shown = text.control.layers._own["region_cells"]
    first = dict(zip(named.class_names, map(tuple, shown.face_color), strict=True))
    wrong = int(named.id[named.code == 0][0])
    counting.classes.label([wrong], "lymphocyte")
    until(lambda: counting.classes.fit is not None)
    assert "by words" in counting.classes.how
    assert counting.cells.class_names[wrong - 1] == "lymphocyte"
    row = int(np.flatnonzero(ids == wrong)[0])
    assert text.control.cells.counts.cells.class_names[row] == "lymphocyte"
    # an answer colours the layer anew and makes no other
    assert text.control.layers._own["region_cells"] is shown
    assert shown in text.viewer.layers
    now = text.control.cells.counts.cells
    assert list(shown.features["class"]) == list(now.class_names)
    colours = cell_colours(now.classes, now.palette)
    wanted = np.array([colours[name] for name in now.class_names]) / 255
    assert np.allclose(shown.face_color[:, :3], wanted)
    # a class keeps its colour when an answer brings the classes into another order
    assert first.keys() == set(named.class_names)
    after = dict(zip(now.class_names, map(tuple, shown.face_color), strict=True))
    assert all(after[name] == first[name] for name in after)
    counting.classes.undo()
    until(lambda: counting.classes.fit is None)
    assert counting.cells.class_names[wrong - 1] == "tumour"


def test_a_drawn_rectangle_is_all_that_is_looked_at(text, until):
    text.area._draw.click()
    area = DrawnArea(text.viewer, text.annotator.image)
    assert text.viewer.layers.selection.active is area.layer
    type_word(text, "tumour")
    assert "No rectangle" in text._status.text()
    drawn = Box(600, 500, 1000, 1100)
    area.layer.add_rectangles(box_vertices(drawn))
    text.run()
    until(lambda: text.control.work is not None)
    scores = text.control.work.scores
    assert all(scores.box(i).intersection(drawn) for i in range(len(scores)))
    assert len(scores) < len(plan_tiles(text.annotator.slide, text.models.card))


def test_a_picture_of_a_tile_flies_there(text, until):
    find(text, until, "gland")
    item = text.gallery.item(2)
    text.gallery.itemClicked.emit(item)
    tile = int(text.control.work.scores.top("gland", 3)[2])
    centre = text.viewer.scene.camera.center[-2:]
    image = text.annotator.image
    assert np.allclose(image.world_to_data(centre), middle(text, tile), atol=1)


def test_cancel_keeps_what_was_seen_and_values_come_back(text, until):
    params = ScoreParams(("tumour | carcinoma", "fat"), ("stroma",), "plip", 2.0, (1.0, 2.0), 2)
    text.set_value(params)
    assert text.value() == params
    text.run()
    text._cancel.click()
    until(lambda: idle(text))
    assert "Cancelled" in text._status.text()
    assert text.control.work is None


def slowly(monkeypatch, until_seen: int) -> threading.Event:
    """Looking stops after some batches, until the event is set."""
    goes_on, batches = threading.Event(), []

    def embed(*given):
        batches.append(given)
        assert len(batches) <= until_seen or goes_on.wait()
        return embed_batch(*given)

    embed_batch = EmbedJob.embed
    monkeypatch.setattr(EmbedJob, "embed", embed)
    monkeypatch.setattr(growing_map, "EVERY_S", 0.0)
    return goes_on


def test_the_map_grows_and_other_words_are_answered_by_then(text, until, monkeypatch):
    goes_on = slowly(monkeypatch, until_seen=1)
    type_word(text, "tumour")
    heat = text.control.layers.heat
    until(lambda: heat("tumour") is not None)
    first = tiles_shown(text, heat("tumour"))
    assert text.control.work is None
    assert heat("tumour").visible
    type_word(text, "stroma")
    goes_on.set()
    until(lambda: text.control.work is not None)
    assert text.control.work.texts == ("tumour", "stroma")
    assert text.control.text == "stroma"
    assert text.words._list.currentItem().text() == "stroma"
    assert 0 < first < tiles_shown(text, heat("tumour")) == len(text.control.work.scores)


def test_cancel_answers_from_what_was_seen_and_find_goes_on(text, until, monkeypatch):
    goes_on = slowly(monkeypatch, until_seen=1)
    type_word(text, "tumour")
    heat = text.control.layers.heat
    until(lambda: heat("tumour") is not None)
    text._cancel.click()
    goes_on.set()
    until(lambda: text.control.work is not None)
    part = len(text.control.work.scores)
    assert "Stopped" in text._status.text()
    text.run()
    until(lambda: len(text.control.work.scores) > part)
    assert "Stopped" not in text._status.text()


def test_removing_the_slide_takes_the_results_away(text, until):
    find(text, until, "tumour")
    text.viewer.layers.remove(text.annotator.image)
    until(lambda: text.control.work is None)
    assert not [la for la in text.viewer.layers if la.name.startswith("score")]
    assert not text._results.isVisibleTo(text)
