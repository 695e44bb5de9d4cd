"""Plots of the report: what stands in them does not run into each other or over the edge."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.pipelines.relate.plots import forest
from histoprompt.pipelines.relate.report import __file__ as report

# Widest a character of 12 px is drawn, on average, by the fonts of common browsers.
CHARACTER = 7.2


TEMPLATE = (Path(report).parent / "templates" / "report.html").read_text()


def row(effect: float, low: float, high: float):
    return ("lymphocyte per mm2", 120, effect, low, high, False, False)


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        # 264 px for 1.92 and a twentieth of it on both sides: 0 lies 127 px from the left end
        ([row(0.5, -0.92, 1.0)], ["0", "-0.92", "1"]),
        # 0 and the low end are 6 px apart, so that one number stands for both
        ([row(0.67, -0.02, 1.0)], ["0", "1"]),
        ([row(0.67, 0.3, 1.0)], ["0", "1"]),
        ([row(-0.67, -1.0, -0.3)], ["0", "-1"]),
    ],
)
def test_numbers_below_a_forest_plot(rows, texts):
    made = forest(rows)
    assert [text for _, text in made["marks"]] == texts
    assert made["marks"][0][0] == made["zero"]


def test_the_ends_of_a_forest_plot_are_where_its_intervals_end():
    made = forest([row(0.5, -1.0, 1.0)])
    (bar,) = made["bars"]
    places = {text: x for x, text in made["marks"]}
    assert (places["-1"], places["0"], places["1"]) == pytest.approx((bar.x0, 140.0, bar.x1))
    # 8 px of margin, then 2 in 264 px with a twentieth of 2 on either side
    assert bar.x0 == pytest.approx(8 + 264 * 0.1 / 2.2)


@given(
    st.lists(
        st.tuples(st.floats(-50, 50), st.floats(0, 60), st.floats(0, 60)), min_size=1, max_size=6
    )
)
def test_nothing_runs_into_its_neighbour(values):
    made = forest([row(at, at - below, at + above) for at, below, above in values])
    marks = sorted(made["marks"])
    for (left, one), (right, other) in itertools.pairwise(marks):
        assert right - left > min(CHARACTER * (len(one) + len(other)) / 2, 30), (one, other)
    wide = re.search(r'viewBox="0 0 (\d+) \{\{ f.tall', TEMPLATE)
    for bar in made["bars"]:
        assert 456 + CHARACTER * len(f"{bar.text}, n = {bar.n}") < int(wide[1])
