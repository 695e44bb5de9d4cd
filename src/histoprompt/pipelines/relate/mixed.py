"""The mixed model beside the permutation: the site as a random effect, by statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.findings import Finding
from histoprompt.pipelines.relate.study import Study

FEWEST_SITES = 3
# Models beside findings that do not survive, per column.
MOST = 40


@dataclass(frozen=True)
class Mixed:
    """A feature's mean by the column, with a random intercept for each site.

    Attributes
    ----------
    feature, column : str
    n, sites : int
    effect, low, high : float
        Standard deviations of the feature per standard deviation of the column (per group, of two).
    p : float
        Of Wald; small with few sites, so it decides nothing.
    site_share : float
        The share of the remaining variance that lies between sites.
    """

    feature: str
    column: str
    n: int
    sites: int
    effect: float
    low: float
    high: float
    p: float
    site_share: float

    @property
    def told(self) -> str:
        """In a sentence."""
        return (
            f"With the site as a random effect {self.effect:.2f} standard deviations "
            f"({self.low:.2f} to {self.high:.2f}), p = {self.p:.2g}, n = {self.n}, "
            f"{self.sites} sites."
        )


def mixed_models(
    study: Study, columns: Sequence[PatientColumn], found: Sequence[Finding]
) -> tuple[Mixed, ...]:
    """Models of the findings that survive, and of the next best of each column.

    Parameters
    ----------
    study : Study
    columns : sequence of PatientColumn
    found : sequence of Finding
        The smallest p first.
    """
    by_name = {c.name: c for c in columns if c.kind in ("number", "ordinal", "binary")}
    left = dict.fromkeys(by_name, MOST)
    out = []
    for one in found:
        name = one.tested.column
        if name not in by_name or one.tested.feature not in study.names:
            continue
        if not one.survives:
            if left[name] == 0:
                continue
            left[name] -= 1
        model = mixed_model(study, by_name[name], one.tested.feature)
        out += [model] if model else []
    return tuple(out)


def mixed_model(study: Study, column: PatientColumn, feature: str) -> Mixed | None:
    """One model; None where there are fewer than three sites, or it cannot be fitted."""
    from statsmodels.regression.mixed_linear_model import MixedLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    x = study.values[:, study.names.index(feature)]
    rows = np.isfinite(x) & column.known
    sites = np.unique(study.site[rows])
    if len(sites) < FEWEST_SITES or len(study.levels.get(feature, ())) > 2:
        return None
    x, y = x[rows], column.values[rows]
    if x.std() == 0 or y.std() == 0:
        return None
    x, y = (x - x.mean()) / x.std(), y - y.mean()
    y = y if column.kind == "binary" else y / y.std()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            fit = MixedLM(x, np.stack([np.ones(len(y)), y], axis=1), study.site[rows]).fit()
        except (np.linalg.LinAlgError, ValueError):
            return None
        low, high = fit.conf_int()[1]
        between, within = float(fit.cov_re[0, 0]), float(fit.scale)
        numbers = (float(fit.params[1]), float(low), float(high), float(fit.pvalues[1]))
    if not np.isfinite(numbers).all():
        return None
    share = between / (between + within) if between + within > 0 else 0.0
    return Mixed(feature, column.name, int(rows.sum()), len(sites), *numbers, share)
