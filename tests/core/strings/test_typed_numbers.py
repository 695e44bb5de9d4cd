"""Numbers as people type them."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoprompt.cli.options import pixel_size
from histoprompt.core.errors import SlideError
from histoprompt.core.strings.typed_numbers import check_mpp, parse_number


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,0", 1.0), ("0,25", 0.25), ("0,250", 0.25), (" .5 ", 0.5), (",5", 0.5), ("2", 2.0),
     ("1.000", 1.0), ("2,5e-1", 0.25), ("+3,", 3.0), ("1000", 1000.0), ("0,2271", 0.2271)],
)  # fmt: skip
def test_a_comma_is_a_decimal_point(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "1,000", "12,345", "1.0,5", "1,2,3", "0x1", "nan", "inf", "1 0", "0.25 um", "١"]
)
def test_what_can_be_read_in_two_ways_or_none_is_refused(text):
    with pytest.raises(ValueError, match=r"may mean|is no number"):
        parse_number(text)


@given(st.floats(0, 1e6, allow_nan=False).map(lambda v: round(v, 4)))
def test_point_and_comma_are_the_same(value):
    text = f"{value:.4f}"
    assert parse_number(text) == value
    assert parse_number(text.replace(".", ",")) == value


@pytest.mark.parametrize("mpp", [0.05, 0.2271, 1, 10])
def test_pixel_sizes_of_slides_are_taken(mpp):
    assert check_mpp(mpp) == mpp


@pytest.mark.parametrize("mpp", [0, -1, 0.0499, 10.01, 250, float("nan"), float("inf")])
def test_pixel_sizes_that_cannot_be_are_refused_with_what_is_usual(mpp):
    with pytest.raises(SlideError, match=r"0\.05 to 10"):
        check_mpp(mpp)


def test_the_command_line_takes_commas_and_refuses_what_cannot_be():
    assert pixel_size("0,25") == 0.25
    for text in ("25", "1,000", "quarter"):
        with pytest.raises(argparse.ArgumentTypeError):
            pixel_size(text)
