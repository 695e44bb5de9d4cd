"""All nuclei of an image of any size, by the project's own network, window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import PROBABILITY
from histoprompt.core.geometry import Box
from histoprompt.models.cells.familiar import appearance
from histoprompt.models.cells.instances import decode
from histoprompt.models.cells.pooling import pool
from histoprompt.models.cells.probability import evidence
from histoprompt.models.cells.windowed import Stepped
from histoprompt.models.networks.lite_networks import STEP, Networks

# Raise it when windows, their seams or what is left out on glass give other maps: counts do not go
# on then.
ALGORITHM = 2
WINDOW, SHIFT = 512, 448  # the windows from the image's corner on
BLEND = 32  # pixels on both sides of the line between two windows where both count: all they share


class LiteCellModel(Stepped):
    """All nuclei of an image; a `CellEmbedder` and a `MaskDescriber`."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self._networks = networks
        width = networks.cells.trunk.widths[-1]
        names = [f"net_{k:03d}" for k in range(width)]
        self._width = width
        self._names = tuple(names if networks.calibration is None else [*names, PROBABILITY])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Channels of the network's coarsest features, averaged over a nucleus; the probability."""
        return self._names

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Label the nuclei of an image at about 0.25 um/px.

        Parameters
        ----------
        image : (h, w, 3) uint8

        Returns
        -------
        (h, w) int32
            0 background, nuclei from 1 without gaps.
        """
        return self._segmented(image)[0]

    def segment_scored(
        self, image: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Labels as `segment` gives them, and how likely each is a nucleus."""
        labels, maps = self._segmented(image)
        return labels, self._probability(maps, labels)

    def strangeness(self, fields: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32] | None:
        """How unlike the tissue that the network has learnt from each field looks, (n,)."""
        familiar = self._networks.familiar
        if familiar is None or not fields:
            return None
        seen = [appearance(self._maps(field, features=True)[1], field) for field in fields]
        return familiar.strangeness(np.stack(seen))

    def _segmented(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        maps, _ = self._maps(image, features=False)
        return decode(maps, self._networks.params, self._before), maps

    def _probability(
        self, maps: NDArray[np.float32], labels: NDArray[np.int32]
    ) -> NDArray[np.float32] | None:
        calibration = self._networks.calibration
        return None if calibration is None else calibration.probability(evidence(maps, labels))

    def segment_described(
        self, image: NDArray[np.uint8], inside: Box | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Labels as `segment` gives them, and (n, c) features of the nuclei."""
        maps, features = self._maps(image, features=True)
        labels = decode(maps, self._networks.params, self._before)
        self._before()
        seen = labels
        if inside is not None:
            seen = np.zeros_like(labels)
            seen[inside.slices()] = labels[inside.slices()]
        described = np.full((int(labels.max(initial=0)), len(self._names)), np.nan, np.float32)
        described[: int(seen.max(initial=0)), : self._width] = pool(features, seen, STEP)
        probability = self._probability(maps, labels)
        if probability is not None:
            described[:, -1] = probability
        return labels, described

    def describe(self, image: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.float32]:
        """Features (n, c) of given nuclei, as `segment_described` gives those of its own."""
        _, features = self._maps(image, features=True)
        return pool(features, labels, STEP)

    def _maps(
        self, image: NDArray[np.uint8], *, features: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Maps of the whole image, seen window by window, and features if wanted."""
        h, w = image.shape[:2]
        rows, cols = _filled(h), _filled(w)
        padded = np.pad(image, [(0, rows - h), (0, cols - w), (0, 0)], mode="symmetric")
        maps = np.zeros((3, rows, cols), np.float32)
        found = np.empty((self._width, rows // STEP, cols // STEP), np.float32)
        for seen, keep in _windows(rows, cols):
            self._before()
            part = self._networks.look(padded[seen.slices()])
            maps[:, *seen.slices()] += part[0] * _weights(seen, keep, (rows, cols))
            if features:
                own = keep.shift(-seen.r0, -seen.c0)
                found[:, *_coarse(keep).slices()] = part[1][:, *_coarse(own).slices()]
        self._before()
        return maps[:, :h, :w], found


def _filled(length: int) -> int:
    """The least length that whole windows fill; an image smaller than one is one by itself."""
    if length <= WINDOW:
        return length + -length % STEP
    return WINDOW + -(-(length - WINDOW) // SHIFT) * SHIFT


def _windows(rows: int, cols: int) -> Iterator[tuple[Box, Box]]:
    """The windows of an image that they fill, each with the box that is kept of it."""
    for r, r0, r1 in _spans(rows):
        for c, c0, c1 in _spans(cols):
            seen = Box(r, c, min(r + WINDOW, rows), min(c + WINDOW, cols))
            yield seen, Box(r0, c0, r1, c1)


def _spans(length: int) -> Iterator[tuple[int, int, int]]:
    """Start of each window along an axis, and what is kept of it."""
    margin = (WINDOW - SHIFT) // 2
    starts = range(0, max(1, length - WINDOW + 1), SHIFT)
    for start in starts:
        first = start + margin if start else 0
        yield start, first, length if start == starts[-1] else start + WINDOW - margin


def _weights(seen: Box, keep: Box, shape: tuple[int, int]) -> NDArray[np.float32]:
    """How much each pixel of a window counts: those of all windows add up to one.

    Windows are normalised each by itself, so a hard line between them would cut nuclei straight.
    """
    rows = _ramps(seen.r0, seen.r1, keep.r0, keep.r1, shape[0])
    cols = _ramps(seen.c0, seen.c1, keep.c0, keep.c1, shape[1])
    return (rows[:, None] * cols).astype(np.float32)


def _ramps(start: float, stop: float, first: float, end: float, length: int) -> NDArray[np.float64]:
    """Along an axis: a rise at each line to another window, none at the rim of the image."""
    at = np.arange(start, stop) + 0.5
    rise = np.clip((at - first) / (2 * BLEND) + 0.5, 0, 1) if first > 0 else np.ones(len(at))
    fall = np.clip((end - at) / (2 * BLEND) + 0.5, 0, 1) if end < length else np.ones(len(at))
    return rise * fall


def _coarse(box: Box) -> Box:
    """A box of pixels, whose sides are multiples of 16, among the features."""
    return Box(*(int(v) // STEP for v in box))
