"""From scores to false-alarm rates: conformal p-values, discoveries, and how far to trust them.

V. Vovk, "Cross-conformal predictors", Ann. Math. Artif. Intell. 74 (2015) 9-28; S. Bates,
E. Candes, L. Lei, Y. Romano and M. Sesia, "Testing for outliers with conformal p-values", Ann.
Stat. 51 (2023) 149-178 (with Benjamini and Hochberg's procedure on them).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

# Where the inflation of p-values is looked at: a share of tiles, and how many at the least.
_TAIL, _TAIL_TILES = 0.05, 10


@dataclass(frozen=True, eq=False)
class ConformalCalibration:
    """What held-out reference tiles scored, part by part.

    Attributes
    ----------
    scores : (n,) float64
        Each by a model that has not seen its part.
    fold : (n,) intp
        The part of each.
    """

    scores: Float64
    fold: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def least(self) -> float:
        """The smallest p-value there can be."""
        return float(self._honest(np.zeros(1))[0])

    def of_tiles(self, by_fold: NDArray[np.floating]) -> Float64:
        """p-values (m,) of tiles that the model of each part scored, (m, parts).

        A tile is held against the held-out tiles of each part by the model that has seen neither.
        """
        reached = np.zeros(len(by_fold), np.int64)
        for number in range(by_fold.shape[1]):
            own = np.sort(self.scores[self.fold == number])
            reached += len(own) - np.searchsorted(own, by_fold[:, number], side="left")
        return self._honest(reached / len(self))

    def of_reference(self) -> Float64:
        """p-values (n,) of the reference's own tiles, each held against all others."""
        own = np.sort(self.scores)
        others = len(own) - np.searchsorted(own, self.scores, side="left") - 1
        return self._honest(others / max(len(own) - 1, 1))

    def held_out_rates(self, rate: float) -> Float64:
        """Share of alarms in each part, (parts,), at the threshold that the other parts give."""
        parts = np.unique(self.fold)
        return np.array(
            [float((self._honest(self._against_others(f)) <= rate).mean()) for f in parts]
        )

    def threshold(self, rate: float) -> float:
        """The score from which on a tile's p-value is at most a rate; infinite if none is."""
        own = np.sort(self.scores)
        fits = self._honest(1 - np.arange(len(own)) / len(own)) <= rate
        if fits.any():
            return float(own[int(fits.argmax())])
        return float(np.nextafter(own[-1], np.inf)) if self.least <= rate else float("inf")

    @cached_property
    def inflation(self) -> float:
        """By how much more often tiles of an unseen part stand out than of those seen; from 1.

        Tiles of one part are more alike than tiles of two, so counting tiles promises too much for
        regions that are not of the reference. Each part's tiles are held against the other parts
        alone, and it is counted how many of them stand as far out as 5 % of those do (or 10 tiles,
        if that is more).
        """
        n = len(self)
        at = min(max(_TAIL, _TAIL_TILES / n), 0.5)
        own = np.concatenate([self._against_others(f) for f in np.unique(self.fold)])
        return max(1.0, float((own <= at).mean()) / at)

    def _honest(self, share: Float64) -> Float64:
        """p-values of the shares of reference tiles that score as much or more."""
        raw = (1 + share * len(self)) / (len(self) + 1)
        return np.asarray(np.minimum(raw * self.inflation, 1), np.float64)

    def _against_others(self, number: int) -> Float64:
        """Share of the other parts' tiles that score as much or more as each of a part's."""
        own, others = self.scores[self.fold == number], np.sort(self.scores[self.fold != number])
        reached = len(others) - np.searchsorted(others, own, side="left")
        return np.asarray(reached / max(len(others), 1), np.float64)

    def expected(self, rate: float) -> tuple[float, float]:
        """In which range the true rate lies nine times of ten, by the number of tiles alone.

        A threshold from n tiles has a rate that is Beta-distributed (V. Vovk, "Conditional validity
        of inductive conformal predictors", ACML 2012). The parts count besides: tiles of one part
        are worth fewer, by the share of the spread that lies between parts.
        """
        from scipy.stats import beta

        n = max(1.0, len(self) / self._clustering(rate))
        k = max(1, int(np.floor(rate * (n + 1))))
        of = beta(k, max(n + 1 - k, 1e-9))
        return float(of.ppf(0.05)), float(of.ppf(0.95))

    def _clustering(self, rate: float) -> float:
        """By how much tiles of one part repeat each other: Kish's design effect, at least 1."""
        parts = np.unique(self.fold)
        cut = np.quantile(self.scores, 1 - max(rate, 5 / max(len(self), 5)))
        over = np.array([(self.scores[self.fold == f] > cut).mean() for f in parts])
        size = len(self) / len(parts)
        mean = float(over.mean())
        spread = float(over.var(ddof=1)) if len(parts) > 1 else 0.0
        return max(1.0, spread / max(mean * (1 - mean) / max(size, 1), 1e-9))


def discoveries(p: Float64) -> Float64:
    """q-values (n,): the share of false ones among all tiles that have this p-value or less.

    Y. Benjamini and Y. Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300.
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p) if len(p) else p, np.float64)
