"""What is looked at once in an image before any object of it is outlined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histoprompt.core.classical.detection import find_nuclei
from histoprompt.core.geometry import Box
from histoprompt.core.stain.deconvolution import brightfield, nucleus_stain, optical_density

# Standard deviations in pixels of the blobs searched under a click: nuclei of radius 3 to 28.
_SIGMAS = tuple(float(s) for s in np.geomspace(2, 20, 8))


@dataclass(frozen=True, eq=False)
class Scene:
    """The stain maps and nuclei of one image.

    Attributes
    ----------
    density : (h, w, 3) float32
        Optical density, slightly smoothed.
    nuclei : (h, w) int32
        Nuclei found without a prompt, 0 elsewhere.
    """

    density: NDArray[np.float32]
    nuclei: NDArray[np.int32]

    @classmethod
    def of_image(cls, image: NDArray[np.uint8]) -> Scene:
        """Look at an (h, w, 3) uint8 RGB image."""
        density = optical_density(brightfield(image))
        return cls(ndi.gaussian_filter(density, (0.7, 0.7, 0)), find_nuclei(image))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the image."""
        return self.nuclei.shape[0], self.nuclei.shape[1]

    @property
    def n_bytes(self) -> int:
        """Memory taken."""
        return self.density.nbytes + self.nuclei.nbytes

    def nucleus_at(self, row: float, col: float) -> Box:
        """The box of the nucleus at a position of the image.

        A nucleus found without a prompt where there is one; else the blob whose size and place
        near the position answer most strongly in scale space. On flat ground, a small box.
        """
        r, c = self.pixel(row, col)
        value = self.nuclei[r, c]
        if value:
            return self._box_of(value, r, c)
        return _blob_at(nucleus_stain(self.density), r, c)

    def pixel(self, row: float, col: float) -> tuple[int, int]:
        """The pixel of the image nearest to a position."""
        h, w = self.shape
        return min(max(round(row), 0), h - 1), min(max(round(col), 0), w - 1)

    def _box_of(self, value: int, row: int, col: int) -> Box:
        around = Box.around(row, col, 161).to_pixels().intersection(Box.of_shape(self.shape))
        assert around is not None  # the pixel lies on the image
        found = Box.of_mask(self.nuclei[around.slices()] == value)
        assert found is not None
        return found.shift(around.r0, around.c0)


def _blob_at(stain: NDArray[np.float32], row: int, col: int) -> Box:
    """The strongest answer of the scale-normalised Laplacian of Gaussian near a pixel."""
    best, answer = Box.around(row, col, 2 * 1.414 * _SIGMAS[0]), 0.0
    reach = int(4 * _SIGMAS[-1])
    r0, c0 = max(0, row - reach), max(0, col - reach)
    window = stain[r0 : row + reach + 1, c0 : col + reach + 1]
    for sigma in _SIGMAS:
        response = -(sigma**2) * ndi.gaussian_laplace(window, sigma, truncate=3)
        near = int(np.ceil(0.8 * sigma))
        top, left = max(0, row - r0 - near), max(0, col - c0 - near)
        part = response[top : row - r0 + near + 1, left : col - c0 + near + 1]
        peak = np.unravel_index(int(part.argmax()), part.shape)
        if part[peak] > answer + 1e-3:
            answer = float(part[peak])
            place = r0 + top + int(peak[0]), c0 + left + int(peak[1])
            best = Box.around(*place, 2 * 1.414 * sigma)
    return best
