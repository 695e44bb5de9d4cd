"""The score map of a slide while its tiles are still being looked at."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.scores.map import ScoreMap
from histoprompt.pipelines.embedding.embedding_store import TileVectors

# Least seconds between two maps: drawing takes time from looking, and more often is not seen.
EVERY_S = 0.5


class GrowingMap:
    """Scores tiles as they come, each once, and shows the map of all that came.

    Parameters
    ----------
    rows : (m, d) float32
        Unit vectors of texts and contrasts.
    scores : callable
        From (n, m) cosines to (n, texts) scores.
    make : callable
        From scores and (n, 2) places to a `ScoreMap`.
    show : callable
        Given the map, in the thread that calls `add`.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        rows: NDArray[np.float32],
        scores: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        make: Callable[[NDArray[np.float32], NDArray[np.int32]], ScoreMap],
        show: Callable[[ScoreMap], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows, self._score, self._make, self._show = rows, scores, make, show
        self._clock, self._shown_at = clock, -np.inf
        self._places: list[NDArray[np.int32]] = []
        self._scores: list[NDArray[np.float32]] = []

    def add(self, vectors: TileVectors, places: NDArray[np.int32]) -> None:
        """Take (n, d) vectors of tiles at (n, 2) places; show the map if it is time to."""
        self._scores.append(self._score(vectors.similarities(self._rows)))
        self._places.append(places)
        if self._clock() - self._shown_at < EVERY_S:
            return
        self._show(self._make(np.concatenate(self._scores), np.concatenate(self._places)))
        self._shown_at = self._clock()
