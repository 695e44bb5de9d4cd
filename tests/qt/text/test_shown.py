"""From maps to what is shown of them: no viewer, no Qt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histoprompt._qt.text.shown import ShownResults, resolve
from histoprompt.core.geometry import Box
from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.core.tiling import TileGrid

SLIDE = Box(0, 0, 64, 256)


def maps(*texts: str, tiles: int = 4) -> ScoreMap:
    """Maps of some texts, each with other scores."""
    places = np.array([(0, col) for col in range(tiles)], np.int32)
    scores = np.linspace(0, 1, tiles * len(texts), dtype=np.float32).reshape(tiles, -1)
    cuts = {text: Threshold(0.5, "text") for text in texts}
    return ScoreMap(texts, scores, places, TileGrid(SLIDE, 64, 0, SLIDE), thresholds=cuts)


@pytest.mark.parametrize(
    ("before", "now", "wish", "text"),
    [
        ((), ("a", "b"), "", "b"),  # the newest of the first answer
        (("a",), ("a", "b"), "", "b"),  # the new one
        (("a", "b"), ("a", "b"), "", "a"),  # the one shown before
        (("a", "b"), ("b",), "", "b"),  # the one shown before is gone
        (("a", "b"), ("a", "b"), "b", "b"),  # the one wished for
        (("a",), ("a", "b"), "a", "a"),  # also where another is new
        (("a", "b"), ("a", "b"), "c", "a"),  # a wish that there is no map of
    ],
)
def test_which_text_is_shown(before, now, wish, text):
    first = ShownResults(maps(*before), before[0]) if before else ShownResults()
    assert resolve(first, maps(*now), wish=wish).text == text


def test_no_maps_show_nothing():
    after = resolve(ShownResults(maps("a"), "a", True), None)
    assert (after.scores, after.text, after.settled) == (None, "", False)


def test_what_has_to_be_drawn_again():
    scores = maps("a", "b")
    shown = ShownResults(scores, "a", True)
    again = resolve(shown, replace(scores))
    assert again.same_map(shown)
    assert again.same_regions(shown)
    cut = resolve(shown, scores.with_threshold("a", Threshold(0.7, "typed")))
    assert cut.same_map(shown)
    assert not cut.same_regions(shown)
    other_cut = resolve(shown, scores.with_threshold("b", Threshold(0.7, "typed")))
    assert other_cut.same_regions(shown), "of a text that is not shown"
    marked = resolve(shown, scores.with_marks("a", {1: True}))
    assert marked.same_map(shown)
    assert not marked.same_regions(shown)
    learnt = scores.with_scores("a", scores.column("a")[::-1], scores.thresholds["a"])
    assert not resolve(shown, learnt).same_map(shown)
    assert not resolve(shown, scores, wish="b").same_map(shown)
    assert not resolve(shown, maps("a", "b", tiles=3)).same_map(shown)


def test_regions_wait_until_all_tiles_were_seen():
    growing = resolve(ShownResults(), maps("a", tiles=2), settled=False)
    assert not growing.settled
    settled = resolve(growing, growing.scores)
    assert settled.same_map(growing)
    assert not settled.same_regions(growing)
