"""Stain maths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import immunohistochemistry

from histoprompt.core.stain.deconvolution import (
    DAB,
    EOSIN,
    HAEMATOXYLIN,
    brightfield,
    has_dab,
    nucleus_stains,
    optical_density,
    unmix,
)


def dyed(*amounts: tuple[tuple[float, float, float], float]) -> np.ndarray:
    """An (8, 8, 3) image of these dyes in these amounts."""
    density = sum(np.array(dye) / np.linalg.norm(dye) * amount for dye, amount in amounts)
    value = 256 * 10 ** -np.asarray(density) - 1
    return np.tile(np.rint(np.clip(value, 0, 255)).astype(np.uint8), (8, 8, 1))


def test_density_of_white_is_0_and_grows_with_darkness():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    density = optical_density(ramp)
    assert density.dtype == np.float32
    assert density[0, 255].max() == 0
    assert (np.diff(density[0, :, 0]) < 0).all()


@given(st.floats(0.05, 0.7), st.floats(0.05, 0.7))
def test_unmixing_gives_back_what_was_mixed(first, second):
    for other in (EOSIN, DAB):
        density = optical_density(dyed((HAEMATOXYLIN, first), (other, second)))
        found = unmix(density, (HAEMATOXYLIN, other))[0, 0]
        assert found == pytest.approx([first, second], abs=0.03)


def test_three_dyes_are_told_apart():
    density = optical_density(dyed((HAEMATOXYLIN, 0.3), (EOSIN, 0.2), (DAB, 0.4)))
    found = unmix(density, (HAEMATOXYLIN, EOSIN, DAB))[0, 0]
    assert found == pytest.approx([0.3, 0.2, 0.4], abs=0.04)


def test_brown_is_known_from_eosin_and_haematoxylin():
    assert has_dab(optical_density(immunohistochemistry()))
    assert has_dab(optical_density(dyed((DAB, 0.6))))
    assert not has_dab(optical_density(dyed((EOSIN, 0.6))))
    assert not has_dab(optical_density(dyed((HAEMATOXYLIN, 0.6), (EOSIN, 0.3))))
    assert not has_dab(optical_density(np.full((8, 8, 3), 255, np.uint8)))


def test_dab_gets_a_map_of_its_own():
    brown = nucleus_stains(optical_density(dyed((HAEMATOXYLIN, 0.1), (DAB, 0.6))))
    assert len(brown) == 2
    assert float(brown[1].mean()) > 3 * float(brown[0].mean())
    assert len(nucleus_stains(optical_density(dyed((HAEMATOXYLIN, 0.5))))) == 1


def test_a_dark_image_is_inverted_and_a_light_one_left():
    dark = np.zeros((20, 20, 3), np.uint8)
    dark[5:8, 5:8, 2] = 200
    light = brightfield(dark)
    assert light[0, 0].tolist() == [255, 255, 255]
    assert light[6, 6].tolist() == [55, 55, 55]
    assert brightfield(light) is light
