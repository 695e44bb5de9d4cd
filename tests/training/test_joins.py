"""The rule that joins pieces: what is one nucleus, and a rule that is found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histoprompt.models.cells.instances import DecodeParams
from histoprompt.models.cells.joining import SIGNS
from histoprompt.training import joins
from histoprompt.training.data import Annotated, Sample
from histoprompt.training.evaluate import Held
from histoprompt.training.joins import Touching, fit_joining, learnt_joining, touching
from histoprompt.training.shares import Learnt

PLAIN = DecodeParams(boundary=0, smooth=1.0)
ROWS, COLS = np.mgrid[:64, :96]
OVAL = ((COLS - 48) / 24) ** 2 + ((ROWS - 32) / 13) ** 2 < 1


def two_peaks():
    """An oval whose distance has two peaks, left and right of column 48."""
    away = np.minimum(np.hypot(ROWS - 32, COLS - 38), np.hypot(ROWS - 32, COLS - 58))
    return np.stack([OVAL, 0.9 - away / 33, np.zeros(OVAL.shape)]).astype(np.float32)


def sample(labels, **more):
    return Sample(
        np.zeros((64, 96, 3), np.uint8),
        labels.astype(np.int32),
        np.ones((64, 96), bool),
        "x",
        **more,
    )


ONE, TWO = OVAL.astype(int), OVAL * (1 + (COLS >= 48))


def test_pieces_of_one_nucleus_are_the_same_and_those_of_two_are_not():
    for labels, same in ((ONE, True), (TWO, False)):
        signs, found = touching(two_peaks(), sample(labels), PLAIN)
        assert len(found) >= 1
        assert signs.shape == (len(found), len(SIGNS))
        assert (found == same).all()


def test_pieces_of_which_nobody_knows_say_nothing():
    maps = two_peaks()
    nothing = sample(np.zeros((64, 96)))
    unknown = replace(sample(ONE), known=COLS < 48)
    unparted = sample(ONE, parted=COLS < 48)
    for one in (nothing, unknown, unparted):
        signs, same = touching(maps, one, PLAIN)
        assert signs.shape == (0, len(SIGNS))
        assert same.shape == (0,)


def made(count, seed=0):
    """Pairs that are one nucleus the likelier, the less boundary is seen."""
    rng = np.random.default_rng(seed)
    signs = rng.normal(size=(count, len(SIGNS)))
    score = 1 - 3 * signs[:, SIGNS.index("boundary")]
    return signs, rng.random(count) < 1 / (1 + np.exp(-score))


def test_a_rule_is_found_again():
    rule = fit_joining([Touching(*made(4000), 1.0)])
    assert rule.intercept == pytest.approx(1, abs=0.2)
    assert rule.weights[SIGNS.index("boundary")] == pytest.approx(-3, rel=0.1)
    others = [w for name, w in zip(SIGNS, rule.weights, strict=True) if name != "boundary"]
    assert np.abs(others).max() < 0.25
    signs, _ = made(10)
    assert fit_joining([Touching(signs, np.ones(10, bool), 1.0)]) is None


def test_sets_weigh_what_is_said_however_many_pairs_they_have():
    signs, same = made(400)
    many = Touching(np.tile(signs, (10, 1)), np.tile(~same, 10), 0.1)
    rule = fit_joining([Touching(signs, same, 1.0), many])
    assert rule.weights[SIGNS.index("boundary")] < -1


def test_the_rule_is_kept_only_where_it_does_better_on_images_kept_from_it(monkeypatch):
    """Two pieces of one nucleus are learnt from; the rule is right where that is so again."""
    monkeypatch.setattr(joins, "predict_maps", lambda *_: two_peaks())
    learnt = {"one": sample(ONE), "two": sample(TWO)}
    monkeypatch.setattr(joins, "plain_field", lambda item: learnt[item.name])
    items = [Annotated("stained", "", name, None, None) for name in ("one", "one", "one", "two")]
    begin = replace(PLAIN, contact=0.0)
    sets = [Learnt(items, 1.0, 1), Learnt([replace(items[0], kind="fluorescence")], 1.0, 1)]
    better = learnt_joining(None, sets, [[two_peaks()]], [Held("x", [sample(ONE)])], begin)
    assert better.joining is not None
    assert better.numbers() == begin.numbers()
    worse = learnt_joining(None, sets, [[two_peaks()]], [Held("x", [sample(TWO)])], begin)
    assert worse.joining is None
