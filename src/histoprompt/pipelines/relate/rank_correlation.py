"""Spearman's correlation within sites, with an interval that holds where sites have few patients.

Of three patients rho is 1, 0.5, -0.5 or -1, and less than with many: Fisher's z with the error of
Bonett and Wright (2000), made for one group of many, is too narrow there, and of no width where all
agree. The error used here is theirs for many patients, that of the few values there are for few.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.relate.effects import Effect, site_ranks

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_Z = 1.959963984540054
# Sums of squares below this are of values that are the same.
_NONE = 1e-12
# Correlations that are tried, on the scale of Fisher's z.
_TRIED = np.linspace(-6.0, 6.0, 2401)


def spearman(values: Floats, column: Floats, sites: Ints) -> Effect:
    """Correlation of ranks within sites.

    Of sites in which both differ between patients; the others would only thin it out. The interval
    holds what such studies have on average, and what they would have with many patients per site
    (of normal values).

    Parameters
    ----------
    values : (n, features) float64
    column : (n,) float64
    sites : (n,) int
    """
    x, y = site_ranks(values, sites), site_ranks(column, sites)
    products, of_x, of_y = (np.zeros(values.shape[1]) for _ in range(3))
    patients, tells = [], []
    for site in np.unique(sites):
        rows = sites == site
        across, up = (x[rows] ** 2).sum(axis=0), float((y[rows] ** 2).sum())
        both = (across > _NONE) & (up > _NONE)
        products += np.where(both, y[rows] @ x[rows], 0.0)
        of_x += np.where(both, across, 0.0)
        of_y += np.where(both, up, 0.0)
        patients.append(int(rows.sum()))
        tells.append(both)
    scale = np.sqrt(of_x * of_y)
    rho = np.divide(products, scale, out=np.full(values.shape[1], np.nan), where=scale > 0)
    rho = np.clip(rho, -1.0, 1.0)
    low, high = np.full(rho.shape, np.nan), np.full(rho.shape, np.nan)
    # features that the same sites tell of have one table of errors
    kinds, kind = np.unique(np.array(tells), axis=1, return_inverse=True)
    for k, telling in enumerate(kinds.T):
        at = (kind.ravel() == k) & np.isfinite(rho)
        if at.any():
            low[at], high[at] = interval_of_rho(rho[at], np.array(patients)[telling])
    return Effect(rho, low, high)


def interval_of_rho(rho: Floats, patients: Ints) -> tuple[Floats, Floats]:
    """Correlations that the seen ones are no farther from, by Fisher's z, than their error allows.

    Parameters
    ----------
    rho : (k,) float64
    patients : (sites,) int
        At least 2 each.

    Returns
    -------
    low, high : (k,) float64
    """
    if (patients - 1).sum() < 3:  # two patients always agree, or not
        return np.full(rho.shape, -1.0), np.full(rho.shape, 1.0)
    n = patients.astype(np.float64)
    weight = n * (n - 1) / (n + 1)  # the sum of squares of ranks of a site
    weight /= weight.sum()
    # where all agree, two neighbours are taken to have changed places
    most = 1 - float((weight * _step(n)).min())
    z = np.arctanh(np.clip(rho, -most, most))
    error = _Z * np.sqrt(error_of_z(np.tanh(_TRIED), n, weight))
    low, high = _from_below(z, error), -_from_below(-z, error)
    low, high = np.where(rho <= -most, -1.0, low), np.where(rho >= most, 1.0, high)
    # with many patients per site the same correlation gives more
    few, many = thinned(n, weight)
    high = np.where(high > 0, np.interp(high, few, many), high)
    low = np.where(low < 0, -np.interp(-low, few, many), low)
    return np.minimum(low, rho), np.maximum(high, rho)


def _from_below(z: Floats, error: Floats) -> Floats:
    """The largest correlation tried that lies more than its error below z."""
    reached = np.minimum.accumulate((_TRIED + error)[::-1])[::-1]  # rises
    last = np.clip(np.searchsorted(reached, z) - 1, 0, len(_TRIED) - 2)
    over = np.maximum(reached[last + 1] - reached[last], 1e-12)
    part = np.clip((z - reached[last]) / over, 0.0, 1.0)
    found = np.tanh(_TRIED[last] + part * (_TRIED[1] - _TRIED[0]))
    return np.asarray(np.where(z <= reached[0], -1.0, found))


def _step(n: Floats) -> Floats:
    """How much less than 1 rho is where two neighbours change places."""
    return np.asarray(12 / (n * (n**2 - 1)))


def error_of_z(rho: Floats, n: Floats, weight: Floats) -> Floats:
    """The variance of Fisher's z of the mean rho of sites.

    That of a site's rho is ``(1 - rho²) (d/2 + (1/(n-1) - d/2) (1 - rho²) (1 + rho²/2))`` with the
    step d of `_step`: 1/(n-1) at 0, d (1 - rho) near 1, where one step is all there is, 1 - rho²
    of two patients, and that of Bonett and Wright of many. A mean is taken off each site.

    Parameters
    ----------
    rho : (k,) float64
        Tried.
    n, weight : (sites,) float64

    Returns
    -------
    (k,) float64
    """
    half, rest = _step(n) / 2, 1 / (n - 1) - _step(n) / 2
    few, many = float((weight**2 * half).sum()), float((weight**2 * rest).sum())
    free = float((n - 1).sum())
    left = np.maximum(1 - rho**2, 1e-15)
    return np.asarray((few / left + many * (1 + rho**2 / 2)) * free / (free - 2))


def thinned(n: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Mean rho of sites of n patients, and the rho of many, of normal values; both from 0 to 1.

    The mean of n patients is ``((n - 2) rho + 3 tau) / (n + 1)``, tau being Kendall's (Daniels,
    1944).

    Parameters
    ----------
    n, weight : (sites,) float64
    """
    r = np.linspace(0.0, 1.0, 2001)
    tau, many = 2 / np.pi * np.arcsin(r), 6 / np.pi * np.arcsin(r / 2)
    few = sum(w * ((m - 2) * many + 3 * tau) / (m + 1) for m, w in zip(n, weight, strict=True))
    return np.asarray(few, np.float64), many
