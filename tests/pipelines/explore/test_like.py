"""Search by example: what is alike comes first, whatever slide it lies on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bands import CARD, SIDE, Bands, manager_of, slide_of
from histoprompt.core.errors import ModelError, PromptError, RegionError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.exact import Bank, best
from histoprompt.pipelines.explore.examples import Example, windows_of
from histoprompt.pipelines.explore.hits import hits_of, write_gallery, write_hits
from histoprompt.pipelines.explore.index import IndexParams
from histoprompt.pipelines.explore.like import LikeParams, LikeQuery, threshold
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.search import Asker, SearchParams, answered
from histoprompt.pipelines.explore.search_step import open_picture

ROWS = {"one": (0, 0, 1, 0, 2, 0, 0, 1), "two": (2, 2, 0, 0, 1, 0)}
PARAMS = IndexParams(encoder=CARD.id)


@pytest.fixture(scope="module")
def slides() -> dict[str, Slide]:
    return {name: slide_of(rows, name, seed=k) for k, (name, rows) in enumerate(ROWS.items())}


@pytest.fixture
def asker(slides, tmp_path) -> Asker:
    manager = manager_of(Bands())
    parts = [build_index(s, PARAMS, manager, Task(), stores=tmp_path) for s in slides.values()]
    return Asker(
        Bank(ProjectIndex(tuple(parts))),
        PARAMS.job(manager),
        lambda place: slides[place or "one"],
        open_picture,
    )


def colours(asker: Asker, rows: np.ndarray) -> list[int]:
    """The band of each row of the bank."""
    index = asker.bank.index
    names = [part.name for part in index.slides]
    return [
        ROWS[names[index.slide_of[row]]][int(index.boxes[row][0]) // SIDE] for row in rows.tolist()
    ]


def ask(asker: Asker, **params: object):
    given = {"diversity": 0.0, **params}
    return answered(asker, SearchParams(encoder=CARD.id, **given), Task())


def test_tiles_like_the_example_come_first_from_all_slides(asker):
    found = ask(asker, like=("128,0,160,32",), top=27)
    assert colours(asker, found.rows) == [2] * 27
    assert set(asker.bank.index.slide_of[found.rows].tolist()) == {0, 1}
    assert (np.diff(found.scores) <= 0).all()
    assert found.own_share == pytest.approx(9 / 27)
    assert found.expected == pytest.approx(72 / 126)
    assert found.told[-1] == "33% of hits come from the query's own slide (57% expected)"


def test_an_example_may_lie_on_another_slide_or_be_a_picture(asker, slides, tmp_path):
    from PIL import Image

    there = ask(asker, like=("two:128,32,160,64",), top=9)
    assert colours(asker, there.rows) == [1] * 9
    crop = slides["one"].read(Box(64, 32, 96, 64))[0]
    Image.fromarray(crop).save(tmp_path / "crop.png")
    pictured = ask(asker, like=(str(tmp_path / "crop.png"),), top=9)
    assert colours(asker, pictured.rows) == [1] * 9
    assert pictured.own_share is None
    boxed = ask(asker, like=("64,32,96,64",), top=9)
    assert np.allclose(pictured.scores, boxed.scores, atol=1e-4)


def test_what_is_unlike_moves_down(asker):
    both = ("64,0,96,32", "128,0,160,32")
    mixed = ask(asker, like=both, top=45)
    assert set(colours(asker, mixed.rows)) == {1, 2}
    less = ask(asker, like=both, unlike=("128,64,160,96",), against=0.75, top=9)
    assert set(colours(asker, less.rows)) == {1}


def test_where_a_counter_example_was_given_is_never_an_answer(asker):
    # one tile of slide two, of the very kind that is looked for: the other eight of its row stay
    all_of_it = ask(asker, like=("128,0,160,32",), top=200)
    found = ask(asker, like=("128,0,160,32",), unlike=("two:0,32,32,64",), against=0.1, top=200)
    boxes, of = asker.bank.index.boxes, asker.bank.index.slide_of
    (refused,) = np.flatnonzero((of == 1) & (boxes == (0, 32, 32, 64)).all(axis=1))
    assert set(all_of_it.rows.tolist()) - set(found.rows.tolist()) == {int(refused)}
    assert found.all_scores[refused] == -1
    # a click within a tile stands for the tile, a box for all tiles whose middles it holds
    click = ask(asker, like=("128,0,160,32",), unlike=("two:40,40,42,42",), against=0.1, top=200)
    assert len(all_of_it.rows) - len(click.rows) == 1
    box = ask(asker, like=("128,0,160,32",), unlike=("two:0,0,64,64",), against=0.1, top=200)
    assert len(all_of_it.rows) - len(box.rows) == 4


def test_no_slide_has_more_hits_than_the_cap(asker):
    found = ask(asker, like=("0,0,32,32",), top=20, per_slide=5)
    assert np.bincount(asker.bank.index.slide_of[found.rows]).tolist() == [5, 5]
    diverse = ask(asker, like=("0,0,32,32",), top=20, per_slide=5, diversity=0.5)
    assert np.bincount(asker.bank.index.slide_of[diverse.rows]).tolist() == [5, 5]


def test_diverse_hits_are_less_alike_and_still_ranked_by_score(asker):
    plain = ask(asker, like=("0,0,32,32",), top=10)
    diverse = ask(asker, like=("0,0,32,32",), top=10, diversity=0.8)

    def alike(rows: np.ndarray) -> float:
        unit = asker.bank.take(rows)
        return float((unit @ unit.T)[np.triu_indices(len(rows), 1)].mean())

    assert alike(diverse.rows) < alike(plain.rows)
    assert diverse.rows[0] == plain.rows[0]
    assert (np.diff(diverse.scores) <= 0).all()


def test_a_threshold_is_found_by_leaving_examples_out(asker):
    assert ask(asker, like=("0,0,32,32",)).cut is None
    assert "two examples" in ask(asker, like=("0,0,32,32",)).told[0]
    like = ("64,0,96,32", "64,64,96,96", "64,128,96,160")
    unlike = ("0,0,32,32", "128,0,160,32", "160,96,192,128")
    found = ask(asker, like=like, unlike=unlike, top=1)
    assert found.cut is not None
    assert (found.cut.right, found.cut.tried) == (6, 6)
    above = np.flatnonzero(found.all_scores >= found.cut.value)
    truth = np.array(colours(asker, np.arange(len(asker.bank)))) == 1
    assert truth[above].all()
    assert len(above) > 0.8 * truth.sum()


def test_a_threshold_between_kinds_that_mix_takes_most():
    axis = np.array([0.9, 0.8, 0.2])
    like = np.stack([axis, np.sqrt(1 - axis**2)], 1).astype(np.float32)
    question = LikeQuery(like, like[2:], np.zeros((0, 2), np.float32), np.zeros(0, np.int32))
    cut = threshold(question, LikeParams(against=0.0))
    assert cut is not None
    assert cut.tried == 4
    assert cut.right >= 2


# -- exact search --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 100, 5000])
def test_the_best_are_those_of_a_full_sort(count):
    scores = np.random.default_rng(2).integers(0, 50, 1000).astype(np.float32)
    expected = np.argsort(-scores, kind="stable")[:count]
    assert np.array_equal(best(scores, count), expected)


def test_in_blocks_from_disk_the_answer_is_the_same(asker, monkeypatch):
    lazy = Bank(asker.bank.index, asker.bank.space, largest=0)
    query = asker.bank.take(np.array([5]))[0]
    assert np.allclose(lazy.scores(query), asker.bank.scores(query), atol=1e-5)
    rows = np.array([100, 3])
    assert np.allclose(lazy.take(rows), asker.bank.take(rows), atol=1e-6)


# -- examples ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "box"),
    [
        ("1,2,3,4", "", Box(1, 2, 3, 4)),
        ("a slide.svs:1, 2, 30,40", "a slide.svs", Box(1, 2, 30, 40)),
        (r"C:\slides\a.svs:0,0,5,5", r"C:\slides\a.svs", Box(0, 0, 5, 5)),
        ("pictures/one.png", "pictures/one.png", None),
    ],
)
def test_examples_are_read(text, place, box):
    assert Example.parse(text) == Example(place, box)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "5,5,1,1", "1.5,2,3,4"])
def test_what_is_no_example_is_refused(text):
    with pytest.raises(PromptError):
        Example.parse(text)


def test_a_small_box_is_seen_with_its_surroundings_and_a_large_one_in_parts(slides):
    slide = slides["one"]
    (window,) = windows_of(Box(40, 40, 48, 48), slide, SIDE)
    assert tuple(window) == (28, 28, 60, 60)
    (corner,) = windows_of(Box(0, 0, 4, 4), slide, SIDE)
    assert tuple(corner) == (0, 0, 32, 32)
    assert len(windows_of(Box(0, 0, 96, 64), slide, SIDE)) == 6


def test_bad_questions_are_refused_in_a_line(asker, tmp_path):
    with pytest.raises(RegionError, match=r"lies outside one, which has 256 rows and 384 columns"):
        ask(asker, like=("0,0,999,999",))
    with pytest.raises(PromptError, match="none of the slides: one, two"):
        ask(asker, like=("three:0,0,32,32",))
    with pytest.raises(PromptError, match="Nothing says"):
        ask(asker)
    with pytest.raises(ModelError, match="Bands knows no words"):
        ask(asker, like=("0,0,32,32",), texts=("tumour",))


def test_an_index_of_another_encoder_is_not_asked(asker):
    job = IndexParams().job(asker.job.manager)
    with pytest.raises(ModelError, match="was indexed with bands"):
        Asker(asker.bank, job, asker.open_slide, asker.open_picture)


# -- files ---------------------------------------------------------------------------------------


def test_files_tell_of_all_hits(asker, slides, tmp_path):
    found = ask(asker, like=("128,0,160,32",), top=12)
    hits = hits_of(asker.bank.index, found)
    write_hits(tmp_path / "hits.csv", hits)
    with (tmp_path / "hits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["slide", "row0", "col0", "row1", "col1", "score", "rank"]
    assert [int(r["rank"]) for r in rows] == list(range(1, 13))
    assert {r["slide"] for r in rows} <= set(ROWS)
    order = list(ROWS)

    def opened(place: int) -> Slide:
        if order[place] == "two":
            raise RegionError("it is gone")
        return slides["one"]

    page: Path = tmp_path / "gallery.html"
    write_gallery(page, hits, opened, Task(), told=found.told, asked=["<b>one</b>"])
    text = page.read_text()
    assert text.count("<figure>") == 12
    assert text.count("data:image/jpeg") == sum(h.slide == 0 for h in hits)
    assert "cannot be read" in text
    assert "<b>one" not in text
    assert "of hits come from the query&#39;s own slide" in text
