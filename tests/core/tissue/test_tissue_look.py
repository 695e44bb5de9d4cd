"""The thirteen numbers of a tile mean what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from histoprompt.core.tissue.look import FEATURES, look_at

PINK, PURPLE, WHITE, BLUE = (225, 150, 190), (90, 60, 140), (245, 245, 245), (30, 100, 200)
RED, BROWN = (200, 60, 70), (130, 80, 40)
MPP, SIDE = 1.0, 64


def of(tile: np.ndarray, mpp: float = MPP) -> dict[str, float]:
    return dict(zip(FEATURES, look_at(tile[None], mpp)[0].tolist(), strict=True))


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def with_discs(radius: float, stretch: float = 1.0, step: int = 16) -> np.ndarray:
    """Purple discs (or ellipses) on pink."""
    tile = plain(PINK)
    r, c = np.mgrid[:SIDE, :SIDE] % step - step / 2 + 0.5
    tile[(r * stretch) ** 2 + (c / stretch) ** 2 <= radius**2] = PURPLE
    return tile


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(0, 255)] * 3),
    st.sampled_from([(1, 1), (1, 9), (16, 16), (33, 20)]),
    st.floats(0.25, 2),
)
def test_any_tile_gives_finite_numbers(colour, shape, mpp):
    found = look_at(np.full((2, *shape, 3), colour, np.uint8), mpp)
    assert found.shape == (2, len(FEATURES))
    assert np.isfinite(found).all()


def test_a_tile_does_not_depend_on_its_neighbours_in_the_stack():
    tiles = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    together = look_at(tiles, 1.0)
    alone = np.concatenate([look_at(t[None], 1.0) for t in tiles])
    assert np.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "much", "little"),
    [
        ("white", plain(WHITE), plain(PINK)),
        ("eosin", plain(PINK), plain(WHITE)),
        ("nuclei", with_discs(4), plain(PINK)),
        ("clumps", with_discs(6.5), with_discs(2.2)),
        ("elongated", with_discs(3, 1.9), with_discs(3)),
        ("red", plain(RED), plain(PINK)),
        ("brown", plain(BROWN), plain(PURPLE)),
        ("ink", plain(BLUE), plain(PURPLE)),
        ("haze", plain((190, 175, 215)), plain(PINK)),
    ],
)
def test_each_name_is_kept(name, much, little):
    assert of(much)[name] > of(little)[name] + 0.05


def test_holes_need_tissue_around_them():
    ring = plain(WHITE)
    ring[:6] = ring[-6:] = ring[:, :6] = ring[:, -6:] = PINK
    assert of(ring)["holes"] > 0.2
    assert of(plain(WHITE))["holes"] == 0


def test_fibres_run_one_way():
    waves = np.random.default_rng(1).normal(size=(SIDE, SIDE))
    sigmas = {"one way": (0.7, 12), "every way": (2, 2)}
    found = {}
    for name, sigma in sigmas.items():
        noise = ndi.gaussian_filter(waves, sigma)
        tile = plain(PINK).astype(float) - 40 * (noise / noise.std())[..., None].clip(-1, 1)
        found[name] = of(tile.clip(0, 255).astype(np.uint8))["fibrous"]
    assert found["one way"] > found["every way"] + 0.2
