"""Crumbs and pinholes go, what was said of an object stays true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoprompt.models.cells.postprocess import tidied

NOTHING = np.zeros((40, 40), bool)


def disc(row: int, col: int, radius: float) -> np.ndarray:
    rows, cols = np.ogrid[:40, :40]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def at(row: int, col: int) -> np.ndarray:
    out = NOTHING.copy()
    out[row, col] = True
    return out


NUCLEUS = disc(15, 15, 9)


def test_a_plain_mask_stays_as_it_is():
    assert (tidied(NUCLEUS, NOTHING, NOTHING) == NUCLEUS).all()
    assert not tidied(NOTHING, NOTHING, NOTHING).any()
    assert tidied(~NOTHING, NOTHING, NOTHING).all()


def test_a_crumb_goes_unless_it_was_pointed_at():
    crumbly = NUCLEUS | disc(35, 35, 2)
    assert (tidied(crumbly, at(15, 15), NOTHING) == NUCLEUS).all()
    assert (tidied(crumbly, at(35, 35), NOTHING) == crumbly).all()


def test_a_second_piece_that_is_no_crumb_stays():
    two = NUCLEUS | disc(33, 33, 5)
    assert (tidied(two, at(15, 15), NOTHING) == two).all()


def test_a_pinhole_is_filled_unless_it_was_said_to_be_outside():
    holed = NUCLEUS & ~disc(15, 15, 1)
    assert (tidied(holed, NOTHING, NOTHING) == NUCLEUS).all()
    assert (tidied(holed, NOTHING, at(15, 15)) == holed).all()


def test_a_lumen_and_a_notch_at_the_edge_are_no_pinholes():
    ring = NUCLEUS & ~disc(15, 15, 5)
    assert (tidied(ring, NOTHING, NOTHING) == ring).all()
    notched = ~NOTHING
    notched[0, 5] = False
    assert (tidied(notched, NOTHING, NOTHING) == notched).all()


PLANES = hnp.arrays(bool, (9, 11), elements=st.booleans())


@given(PLANES, PLANES, PLANES)
def test_what_was_said_of_a_mask_stays_true(mask, a, b):
    inside, outside = mask & a, ~mask & b
    once = tidied(mask, inside, outside)
    assert once[inside].all()
    assert not once[outside].any()
    if mask.any():
        assert once.any()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_mask_is_tidied_alike(turns):
    crumbly = (NUCLEUS & ~disc(12, 15, 1)) | disc(35, 33, 2)
    turned = tidied(np.rot90(crumbly, turns), NOTHING, NOTHING)
    assert (turned == np.rot90(tidied(crumbly, NOTHING, NOTHING), turns)).all()
