"""From amounts of dye to what a scanner sees: light, ink, focus, noise."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter

from making.layout import OUT_OF_FOCUS, SHAPE, Layout
from making.noise import Field, smooth_noise
from making.tissue import Canvas

# Optical densities in (red, green, blue) of an amount of 1, after the vectors that M. Macenko et
# al. (ISBI 2009) give for haematoxylin and eosin, eosin a little more pink.
HAEMATOXYLIN: Final = (0.64, 0.68, 0.30)
EOSIN: Final = (0.14, 0.74, 0.36)
INK: Final = (0.95, 0.50, 0.12)

# Blur in pixels, in focus and ever farther from it.
_SHARP: Final = 0.7
_BLURRED: Final = (2.0, 4.0, 6.5)


def photograph(rng: np.random.Generator, layout: Layout, canvas: Canvas) -> NDArray[np.uint8]:
    """(2400, 3000, 3) uint8 RGB as a brightfield scanner would record it."""
    light = 243 - 3 * smooth_noise(rng, SHAPE, 1800)
    ink = gaussian_filter(layout.ink, 4) * (0.85 + 0.12 * _streaks(rng))
    away = _away_from_focus()
    channels = []
    for white, haem, eosin, dye in zip((1.0, 0.998, 1.004), HAEMATOXYLIN, EOSIN, INK, strict=True):
        density = haem * canvas.haematoxylin + eosin * canvas.eosin
        seen = _focus(_through(density), away) * _through(dye * ink)
        grain = gaussian_filter(rng.standard_normal(SHAPE), 0.6)
        channels.append(light * white * seen + 3.4 * grain * np.sqrt(seen))
    return np.clip(np.rint(np.stack(channels, axis=-1)), 0, 255).astype(np.uint8)


def _through(density: Field) -> Field:
    """The share of the light that passes an optical density."""
    return np.exp(-np.log(10) * density)


def _focus(light: Field, away: Field) -> Field:
    """Blur a little everywhere and more where the focus is away, by mixing four strengths."""
    out = gaussian_filter(light, _SHARP)
    place = find_objects((away > 0).astype(int))[0]
    blurred = [out[place], *(gaussian_filter(light[place], s) for s in _BLURRED)]
    step = away[place] * len(_BLURRED)
    weights = [np.clip(1 - np.abs(step - i), 0, 1) for i in range(len(blurred))]
    out[place] = sum(w * b for w, b in zip(weights, blurred, strict=True))
    return out


def _away_from_focus() -> Field:
    """0 in focus, 1 in the middle of the spot that is not."""
    (row, col), radius = OUT_OF_FOCUS
    rows, cols = np.indices(SHAPE, sparse=True)
    return np.clip(1.6 * (1 - np.hypot(rows - row, cols - col) / radius), 0, 1)


def _streaks(rng: np.random.Generator) -> Field:
    """Streaks along the pen's stroke, which runs down the slide."""
    across = gaussian_filter(rng.standard_normal(SHAPE[1]), 5)
    return np.broadcast_to(across / across.std(), SHAPE)
