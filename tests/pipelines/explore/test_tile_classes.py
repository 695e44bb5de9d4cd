"""Classes of tiles: learnt from marks, kept in a file without code, given to other slides."""

from __future__ import annotations

import csv
from contextlib import nullcontext

import numpy as np
import pytest
from tile_sets import laid

from histoprompt.core.errors import LabelError, ModelError
from histoprompt.core.geometry import Box
from histoprompt.core.task import Task
from histoprompt.pipelines.classes.active_learning import Review, next_cell
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.tile_classes.apply import (
    classify_tiles,
    seen_as,
    write_classified,
)
from histoprompt.pipelines.explore.tile_classes.fit import (
    TileTrainParams,
    fit_tiles,
    load_tiles,
    save_tiles,
    with_looks,
)
from histoprompt.pipelines.explore.tile_classes.marks import (
    MarkedSlide,
    TileMark,
    marked_tiles,
    on_places,
    read_marks,
    write_marks,
)
from histoprompt.pipelines.explore.tile_classes.queue import (
    learning_curve,
    queue_of,
    worth_marking,
    write_worth_marking,
)

NAMES = np.array(["fat", "gland", "muscle"])


def tissue(seed: int, name: str = "S1"):
    rng = np.random.default_rng(seed)
    kind = np.arange(300) % 3
    middles = np.random.default_rng(7).normal(0, 1, (3, 60))
    return laid(middles[kind] + rng.normal(0, 1, (300, 60)), name=name), kind


def fitted(labels=None, **params):
    tiles, kind = tissue(0)
    labels = labels or {row: str(NAMES[kind[row]]) for row in range(30)}
    return fit_tiles(tiles, labels, TileTrainParams(**params), IndexParams(overlap=2))


@pytest.mark.parametrize("method", ["auto", "logistic", "prototype", "forest"])
def test_classes_are_learnt_kept_and_given_to_another_slide(method, tmp_path):
    found = fitted(method=method)
    path = tmp_path / "tiles.safetensors"
    save_tiles(path, found)
    classifier, about = load_tiles(path)
    assert about["encoder"] == "enc"
    assert seen_as({**about, "encoder": "efficientnet-lite0"}).overlap == 2
    tiles, kind = tissue(1, "S2")
    given = classify_tiles(tiles, classifier, about)
    right = NAMES[kind] == np.array(given.names[:-1])[given.likeliest]
    assert right.mean() > 0.8
    assert found.one_out.balanced_accuracy > 0.7
    write_classified(tmp_path / "out", given, about)
    rows = list(csv.DictReader((tmp_path / "out" / "tiles.csv").open()))
    assert [r["likeliest"] for r in rows] == [given.names[k] for k in given.likeliest]
    counts = list(csv.DictReader((tmp_path / "out" / "classes.csv").open()))
    assert sum(float(r["adjusted"] or 0) for r in counts) == pytest.approx(300, abs=0.5)


def test_leaving_out_sees_no_example_twice():
    # each example has a copy of another class: who saw it would be right, who did not is wrong
    tiles, _ = tissue(3)
    rng = np.random.default_rng(0)
    labels = {
        int(r): str(n)
        for r, n in zip(range(60), rng.permutation(NAMES[np.arange(60) % 3]), strict=True)
    }
    found = fit_tiles(tiles, labels, TileTrainParams(method="logistic"), IndexParams())
    assert found.one_out.balanced_accuracy < 0.6


def test_marks_that_look_alike_are_told_by_their_places():
    tiles, kind = tissue(0)
    tiles.vectors[1] = tiles.vectors[0]  # in the first row: middles at 50 and 150
    found = fit_tiles(
        tiles, {row: str(NAMES[kind[row]]) for row in range(12)}, TileTrainParams(), IndexParams()
    )
    assert found.warnings[0].startswith(
        "The tiles marked fat at 50,50 and gland at 50,150 look alike (similarity 1.00)"
    )
    assert not any("cell" in told.lower() for told in found.warnings)


def test_ignored_marks_teach_nothing_and_are_no_class():
    _, kind = tissue(0)
    labels = {row: str(NAMES[kind[row]]) for row in range(30)}
    ignored = dict.fromkeys(range(100, 110), "Ignore*")
    plain, with_ignored = fitted(labels), fitted(labels | ignored)
    assert with_ignored.fit.classifier.classes == plain.fit.classifier.classes
    assert (with_ignored.fit.classifier.model.weights == plain.fit.classifier.model.weights).all()
    assert with_ignored.fit.ignored == 10
    counts = with_ignored.fit.cells.counts()
    assert counts["Ignore*"] == 10


def test_the_queue_of_cells_asks_about_tiles():
    found = fitted()
    review = Review({row + 1: str(NAMES[row % 3]) for row in range(30)})
    asked = next_cell(found.fit, review)
    assert asked is not None
    assert asked.id > 30


def test_of_one_class_look_alikes_stay_unsure_and_are_told_of():
    found = fitted(dict.fromkeys(range(0, 30, 3), "fat"))
    assert found.fit.classifier.classes == ("fat", "other")
    counts = found.fit.cells.counts()
    _, kind = tissue(0)
    code = found.fit.cells.code
    assert counts["unsure"] > 10
    assert (code[kind == 0] != 1).mean() > 0.8  # fat, or unsure; seldom something else
    assert (code[kind > 0] != 0).mean() > 0.95
    assert found.one_out is None
    assert found.fit.classifier.held_out is None
    assert "marks of one class cannot be tested" in found.told
    told = " ".join(found.warnings)
    assert "Only fat has examples" in told
    assert "between the examples and other stay unsure, in grey" in told
    assert "cell" not in told


def test_other_encoders_and_no_classes_are_refused():
    found = fitted()
    tiles, _ = tissue(1)
    other = laid(tiles.vectors, digest="sha256:2")
    about = {"encoder": "enc", "digest": "sha256:1"}
    with pytest.raises(ModelError, match="learnt on enc"):
        classify_tiles(other, found.fit.classifier, about)
    with pytest.raises(LabelError, match="no class that counts"):
        fitted({5: "Ignore*"})


def test_marks_are_points_or_boxes_and_find_their_tiles(tmp_path):
    tiles, _ = tissue(0)
    path = tmp_path / "marks.csv"
    path.write_text("slide,row,col,class\nS1,150,250,fat\nS1,9999,0,gland\n")
    labels, notes = marked_tiles(read_marks(path), tiles, lambda _: 0)
    assert labels == {22: "fat"}  # row 1, column 2 of 20
    assert "1 of 2 marks" in notes[0]
    marks = (TileMark("S1", (0, 0, 100, 300), "fat"), TileMark("S1", (10, 10, 30, 30), "gland"))
    write_marks(path, marks)
    labels, _ = marked_tiles(read_marks(path), tiles, lambda _: 0)
    assert labels == {1: "fat", 2: "fat", 0: "gland"}
    path.write_text("slide,row,col,class\nS1,a,2,fat\n")
    with pytest.raises(LabelError, match="line 2"):
        read_marks(path)
    path.write_text("slide,row,col,class\n")
    with pytest.raises(LabelError, match="no marks"):
        read_marks(path)


def test_a_queue_asks_learns_and_says_when_to_stop(tmp_path):
    tiles, kind = tissue(0)
    labels = {row: str(NAMES[kind[row]]) for row in range(9)}
    params = TileTrainParams()
    queue = queue_of(tiles, fit_tiles(tiles, labels, params, IndexParams()), labels)
    assert "More labels" in queue.hint
    for _ in range(3):  # who answers as the truth is, gains a mark each time it is right
        row = queue.question.suggestion.id - 1
        assert row not in labels
        assert [*queue.question.box] == tiles.boxes[row].tolist()
        right = queue.question.suggestion.proposed == NAMES[kind[row]]
        queue, mark = queue.answered("a" if right else "u")
        assert (mark is not None) == right
        assert mark is None or mark.slide == "key of S1"
        labels |= {row: mark.name} if mark else {}
        queue = queue_of(tiles, fit_tiles(tiles, labels, params, IndexParams()), labels, queue)
        assert queue.question.suggestion.id - 1 != row
    assert queue.points[:, 0].tolist() == sorted({9, *queue.points[:, 0].astype(int)})
    alike = queue_of(tiles, queue.fit, labels, queue, like="fat").question.suggestion
    assert alike.proposed == "fat"
    assert "is it one?" in alike.why
    assert kind[alike.id - 1] == 0
    asked = worth_marking(queue, 5)
    assert len({one.suggestion.id for one in asked} - {row + 1 for row in labels}) == 5
    assert write_worth_marking(tmp_path / "ask.csv", queue, 5) == 5
    read, lost = on_places(read_marks(tmp_path / "ask.csv"), [MarkedSlide("k", "S1")], tmp_path, "")
    assert (len(read), lost) == (5, 0)
    assert marked_tiles(read, tiles, lambda _: 0)[0] == {
        one.suggestion.id - 1: one.suggestion.proposed for one in asked
    }


def test_a_learning_curve_is_drawn_from_marks_given_at_once():
    tiles, kind = tissue(0)
    labels = {row: str(NAMES[kind[row]]) for row in sorted(range(48), key=lambda r: kind[r])}
    curve = learning_curve(tiles, labels, TileTrainParams(), IndexParams())
    assert [point.labels for point in curve] == [6, 12, 18, 24, 30, 36, 42, 48]
    assert curve[-1].accuracy > 0.8
    assert curve[-1].changed < curve[1].changed


def test_marks_of_a_table_find_their_slides(tmp_path):
    places = [MarkedSlide("k1", "A7", str(tmp_path / "a7.svs")), MarkedSlide("k2", "B")]
    said = ["A7", "a7.svs", str(tmp_path / "a7.svs"), "B", "", "elsewhere"]
    marks = [TileMark(name, (0, 0, 1, 1), "fat") for name in said]
    found, lost = on_places(marks, places, tmp_path, "here")
    assert [mark.slide for mark in found] == ["k1", "k1", "k1", "k2", "here"]
    assert lost == 1


class Stained:
    """A slide of one stain, with some grain."""

    def __init__(self, colour, shape):
        self.box, self._colour = Box(0, 0, *shape), colour

    def read(self, box, shape):
        rng = np.random.default_rng([int(v) for v in box])
        noise = rng.normal(0, 12, (*shape, 3)) + rng.normal(0, 10, 3)
        return (np.array(self._colour) + noise).clip(0, 255).astype(np.uint8), None


def test_another_stain_is_told_before_classes_are_believed(tmp_path):
    tiles, _ = tissue(0)
    labels = {row: str(NAMES[tissue(0)[1][row]]) for row in range(30)}
    shape = tiles.slides[0].shape
    pink, blue = Stained((205, 150, 190), shape), Stained((150, 120, 200), shape)
    found = fit_tiles(tiles, labels, TileTrainParams(), IndexParams())
    found = with_looks(found, tiles, labels, lambda _: nullcontext(pink), Task())
    save_tiles(tmp_path / "tiles.safetensors", found)
    classifier, about = load_tiles(tmp_path / "tiles.safetensors")
    other, _ = tissue(1, "S2")
    for slide, outside in ((pink, False), (blue, True)):
        opener = lambda _, slide=slide: nullcontext(slide)  # noqa: E731
        given = classify_tiles(other, classifier, about, opener, Task())
        assert given.domains[0].outside == outside
        assert bool(given.notes()) == outside
    assert "colour and sharpness by" in given.notes()[0]
    assert np.isnan(classify_tiles(other, classifier, about).domains[0].look)
