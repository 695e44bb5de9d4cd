"""From a slide and texts to maps: the right tiles, each seen once, in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histoprompt.core.errors import (
    Cancelled,
    MissingMppError,
    ModelError,
    PromptError,
    RefusedTextError,
    RegionError,
)
from histoprompt.core.geometry import Box
from histoprompt.core.scores.regions import find_regions
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.pipelines.embedding.embedding_store import TileVectors
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.tile_plan import plan_tiles
from histoprompt.pipelines.embedding.tiles import embed_tiles, read_square, read_tile
from histoprompt.pipelines.embedding.words import TextCache
from histoprompt.pipelines.text import partial_map as growing_map
from histoprompt.pipelines.text.score import ask, manual, score
from histoprompt.pipelines.text.text_embedding import ScoreParams, embed_queries
from two_colours import CARD, PURPLE_ROWS, SIDE, Colours, job_of, two_colours

PURPLE = ScoreParams(("purple",), ("pink",))
GLASS_FROM = 384


@pytest.fixture(scope="module")
def slide() -> Slide:
    return two_colours()


@pytest.fixture
def model() -> Colours:
    return Colours()


@pytest.fixture
def job(model, tmp_path) -> ScoreJob:
    return job_of(model, tmp_path)


def is_purple(scores) -> np.ndarray:
    """Tiles of the purple band; the column of cells at the rim of the tissue shows glass."""
    rows, cols = scores.places.T * scores.grid.size
    return (rows >= PURPLE_ROWS.start) & (rows < PURPLE_ROWS.stop) & (cols < GLASS_FROM)


def test_the_text_finds_its_tiles(slide, job):
    scores, _ = score(slide, PURPLE, job, Task())
    assert np.array_equal(scores.inside("purple"), is_purple(scores))
    assert scores.slide_key == slide.key
    assert scores.facts["contrasts"] == "pink"
    assert "pink" in scores.thresholds["purple"].origin


def test_glass_is_not_looked_at(slide, job, model):
    scores, _ = score(slide, PURPLE, job, Task())
    assert scores.places[:, 1].max() <= GLASS_FROM // SIDE
    assert model.seen == len(scores)


def test_each_tile_is_seen_once_whatever_is_asked(slide, job, model):
    scores, seen = score(slide, PURPLE, job, Task())
    before = model.seen
    both = ScoreParams(("pink", "purple"), ("glass",))
    again, _ = score(slide, both, job, Task())
    asked = ask(seen, both, job, Task())
    assert model.seen == before
    assert np.allclose(again.scores, asked.scores, atol=1e-5)
    assert np.array_equal(again.inside("purple"), scores.inside("purple"))


def test_a_region_shares_its_tiles_with_the_slide(slide, job, model):
    part, _ = score(slide, PURPLE, job, Task(), region=Box(100, 0, 200, 100))
    first = model.seen
    whole, _ = score(slide, PURPLE, job, Task())
    assert 0 < first == len(part) < len(whole) == model.seen
    at = {tuple(p): s for p, s in zip(whole.places.tolist(), whole.scores.tolist(), strict=True)}
    assert all(
        at[tuple(p)] == s for p, s in zip(part.places.tolist(), part.scores.tolist(), strict=True)
    )


def test_the_order_changes_nothing(slide, tmp_path):
    found = []
    for name, first in (("plain", None), ("view", Box(250, 300, 380, 380))):
        job = job_of(Colours(), tmp_path / name, batch=5)
        found.append(score(slide, PURPLE, job, Task(), first=first)[0])
    assert np.array_equal(found[0].places, found[1].places)
    assert np.array_equal(found[0].scores, found[1].scores)


def test_tiles_in_view_come_first(slide, job):
    plan, seen = plan_tiles(slide, CARD), []
    view = Box(256, 128, 320, 224)
    embed_tiles(slide, plan, job, Task(), first=view, seen=lambda _, p: seen.extend(p.tolist()))
    inside = [view.intersection(plan.grid.tile(r, c).inner) is not None for r, c in seen]
    assert len(seen) == len(plan)
    assert all(inside[: sum(inside)])
    assert sum(inside) == 6


def test_a_cancelled_run_goes_on_where_it_stopped(slide, job, model):
    class Stops(Task):
        def step(self, done: int, total: int, text: str = "") -> None:
            if done >= 16:
                raise Cancelled
            super().step(done, total, text)

    part, _ = score(slide, PURPLE, job, Stops())
    assert model.seen == 16 == len(part)
    scores, _ = score(slide, PURPLE, job, Task())
    assert model.seen == len(scores)


def test_the_map_grows_while_tiles_are_seen(slide, job, monkeypatch):
    monkeypatch.setattr(growing_map, "EVERY_S", 0.0)
    grown = []
    scores, _ = score(slide, PURPLE, job, Task(), growing=grown.append)
    counts = [len(part) for part in grown]
    assert counts == sorted(set(counts))
    assert counts[0] == job.batch < counts[-1] == len(scores)
    for part in grown:
        known = {tuple(p): s for p, s in zip(part.places.tolist(), part.scores, strict=True)}
        rows = [i for i, p in enumerate(scores.places.tolist()) if tuple(p) in known]
        before = np.array([known[tuple(p)] for p in scores.places[rows].tolist()])
        assert len(rows) == len(part)
        assert np.allclose(before, scores.scores[rows], atol=2e-3)
        assert part.facts == scores.facts
        assert part.thresholds == scores.thresholds


def test_other_words_start_from_the_tiles_seen_so_far(slide, job, model, monkeypatch):
    monkeypatch.setattr(growing_map, "EVERY_S", 0.0)
    part, _ = score(slide, PURPLE, job, Task(), region=Box(100, 0, 200, 100))
    grown = []
    both = ScoreParams(("pink", "purple"), ("glass",))
    whole, _ = score(slide, both, job, Task(), growing=grown.append)
    assert len(grown[0]) == len(part)
    assert grown[0].texts == both.texts
    grown.clear()
    score(slide, PURPLE, job, Task(), growing=grown.append)
    assert grown == []
    assert model.seen == len(whole)


def test_maps_are_not_shown_more_often_than_is_seen(slide, job):
    plan, times, grown = plan_tiles(slide, CARD), iter(np.arange(0, 100, 0.2)), []
    asked = embed_queries(PURPLE, job, Task(), TextCache())
    make = asked.on(slide.key, slide.mpp, plan)
    growing = growing_map.GrowingMap(
        asked.rows, asked.scores, make, grown.append, clock=lambda: next(times)
    )
    places = plan.places[:8]
    for place in places:
        growing.add(TileVectors(asked.rows[:1], np.arange(1)), place[None])
    assert len(grown) < len(places) / 2
    assert len(grown[-1]) > len(grown[0]) == 1


class StopsLooking(Task):
    """Cancelled when tiles are to be looked at."""

    def step(self, done: int, total: int, text: str = "", unit: str = "") -> None:
        if text.startswith("Looking at"):
            self.cancel()
        super().step(done, total, text, unit)


def test_what_was_seen_before_a_cancel_answers_alone(slide, job, model):
    with pytest.raises(Cancelled):
        score(slide, PURPLE, job, StopsLooking())
    assert model.seen == 0
    part, _ = score(slide, PURPLE, job, Task(), region=Box(100, 0, 200, 100))
    seen_by_model = model.seen
    scores, seen = score(slide, PURPLE, job, StopsLooking())
    assert len(scores) == len(seen.vectors[0]) < len(plan_tiles(slide, CARD))
    assert model.seen == len(scores) >= seen_by_model == len(part), "nothing is looked at twice"
    kept = [scores.index_at(*part.box(i).centre) for i in range(len(part))]
    assert np.array_equal(scores.scores[kept], part.scores)
    with pytest.raises(Cancelled):
        score(slide, replace(PURPLE, scales=(1.0, 2.0)), job, StopsLooking())


def test_a_model_that_fails_loses_nothing(slide, job, model):
    model.fail_after = 24
    with pytest.raises(RuntimeError, match="power"):
        score(slide, PURPLE, job, Task())
    model.fail_after, model.seen = None, 0
    scores, _ = score(slide, PURPLE, job, Task())
    assert model.seen == len(scores) - 24


def test_new_and_old_vectors_are_the_same(slide, job):
    first, seen = score(slide, PURPLE, job, Task())
    second, again = score(slide, PURPLE, job, Task())
    assert np.array_equal(first.scores, second.scores)
    index = np.arange(len(first))
    assert np.array_equal(seen.vectors[0].take(index), again.vectors[0].take(index))


def test_overlap_makes_the_map_finer(slide, job):
    coarse, _ = score(slide, PURPLE, job, Task())
    fine, _ = score(slide, replace(PURPLE, overlap=2), job, Task())
    assert fine.grid.size == coarse.grid.size / 2
    assert 3 * len(coarse) < len(fine) < 5 * len(coarse)


def test_scales_see_more_around_the_same_cells(slide, job, model):
    plain, _ = score(slide, PURPLE, job, Task())
    wide, seen = score(slide, replace(PURPLE, scales=(1, 3)), job, Task())
    assert np.array_equal(plain.places, wide.places)
    assert model.seen == 2 * len(plain)
    cosines = [v.similarities(np.eye(3, dtype=np.float32)) for v in seen.vectors]
    assert np.allclose(seen.similarities(np.eye(3, dtype=np.float32)), np.mean(cosines, axis=0))
    edge = np.flatnonzero(is_purple(plain))[0]
    assert cosines[0][edge] @ cosines[1][edge] < 0.99  # pink is seen above, at the second scale


def test_temperature_softens_and_keeps_the_border(slide, job):
    sharp, seen = score(slide, PURPLE, job, Task())
    soft = ask(seen, replace(PURPLE, temperature=10), job, Task())
    assert np.array_equal(sharp.inside("purple"), soft.inside("purple"))
    assert soft.scores.max() < sharp.scores.max()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"texts": ("",)}, "empty"),
        ({"texts": ()}, "no text"),
        ({"texts": ("green",)}, "knows pink, purple"),
        ({"contrasts": ("Purple",)}, "twice"),
        ({"templates": "mine"}, "conch"),
        ({"temperature": 0.0}, "Soften scores by is 0"),
        ({"scales": ()}, "There is no scale"),
        ({"overlap": 9}, "Steps per tile is 9"),
    ],
)
def test_bad_questions_are_refused_before_any_tile_is_seen(slide, job, model, changed, said):
    with pytest.raises(PromptError, match=said):
        score(slide, replace(PURPLE, **changed), job, Task())
    assert model.seen == 0


def test_every_refused_text_is_told_and_what_they_are_held_against_is_none(slide, job):
    asked = ScoreParams(("blue | navy", "purple", "green"), ("pink",))
    with pytest.raises(RefusedTextError) as refused:
        score(slide, asked, job, Task())
    assert refused.value.texts == ("blue", "green")
    assert "blue" in str(refused.value)
    assert "'green'" in str(refused.value)
    for rivals in (("blue",), ("purple",)):
        with pytest.raises(PromptError) as wrong:
            score(slide, ScoreParams(("purple",), rivals), job, Task())
        assert not isinstance(wrong.value, RefusedTextError)
    with pytest.raises(RefusedTextError) as twice:
        score(slide, ScoreParams(("pink", "purple", "Pink"), ("purple cells",)), job, Task())
    assert twice.value.texts == ("Pink",)


def test_a_slide_without_scale_is_refused(job):
    with pytest.raises(MissingMppError, match="pixel size"):
        score(two_colours(mpp=None), PURPLE, job, Task())


def test_a_region_off_the_slide_is_refused(slide, job):
    with pytest.raises(RegionError, match="outside"):
        score(slide, PURPLE, job, Task(), region=Box(0, 0, 10, 4000))


def test_only_glass_is_refused(slide, job):
    with pytest.raises(RegionError, match="No tissue"):
        score(slide, PURPLE, job, Task(), region=Box(0, 460, 100, 500))


def test_a_model_of_another_role_is_refused(job):
    with pytest.raises(ModelError, match="role text"):
        ScoreJob(job.manager, registry.card("litemedsam"))


def test_a_typed_threshold_says_so():
    assert manual(0.3).origin == "typed"
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(PromptError, match="between 0 and 1"):
            manual(value)


def test_no_tile_is_scored_by_what_lies_outside_of_the_slide(job):
    """A slide of 2.4 by 3.6 tiles, purple all over: no tile is told to be glass, at any scale."""
    purple = np.full((77, 115, 3), (150, 110, 180), np.uint8)
    slide = Slide.from_arrays("purple", [purple], mpp=0.5)
    plan = plan_tiles(slide, CARD)
    assert len(plan) == 3 * 4
    for seen in (plan, plan.scaled(2.0)):
        for place in seen.places.tolist():
            window = seen.window(tuple(place))
            assert window.shape == (seen.side, seen.side)
            assert slide.box.covers(window)
            assert seen.grid.tile(*place).inner.intersection(window)
    params = ScoreParams(("purple", "pink"), ("glass",), scales=(1.0, 2.0))
    scores, _ = score(slide, params, job, Task())
    assert scores.column("purple").min() > 0.9
    (region,) = find_regions(scores, "purple")
    assert region.area_um2 == 77 * 115 * 0.25


def test_a_slide_smaller_than_a_tile_is_mirrored_and_not_white(job):
    slide = Slide.from_arrays("small", [np.full((20, 50, 3), (150, 110, 180), np.uint8)], mpp=0.5)
    plan = plan_tiles(slide, CARD)
    for place in plan.places.tolist():
        assert (read_tile(slide, plan, tuple(place)) == (150, 110, 180)).all()
    rng = np.random.default_rng(0)
    slide = Slide.from_arrays("noise", [rng.integers(0, 255, (24, 48, 3), np.uint8)], mpp=0.5)
    square = read_square(slide, Box(0, 0, 32, 32), 32)
    part = slide.levels[0][:, :32]
    assert np.array_equal(square, np.concatenate([part, part[:-9:-1]]))


def test_tiles_that_are_mostly_glass_are_left_out(slide, job):
    """The tissue ends at column 384: the tenth tile of 40 pixels holds 24 of it, the eighth of 54
    holds 6, and what the coarse picture of the tissue adds.
    """
    for pixels, last in ((20, 9), (27, 6)):
        plan = plan_tiles(slide, replace(CARD, input_size=pixels))
        assert plan.side == 2 * pixels
        assert plan.places[:, 1].max() == last


def test_the_size_on_disk_is_foretold(slide, job):
    plan = plan_tiles(slide, CARD)
    assert plan.n_bytes(512) == len(plan) * (2 * 512 + 8)
