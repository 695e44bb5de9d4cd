"""Made studies: sites that shift features, an outcome that may go with the site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import Kind, PatientColumn
from histoprompt.pipelines.relate.findings import Finding, findings
from histoprompt.pipelines.relate.one_column import related
from histoprompt.pipelines.relate.study import Study

# How likely "yes" is, and how much a number or a hazard is raised, at each site.
APART = {"none": (0.5, 0.5, 0.5), "some": (0.2, 0.5, 0.8), "all": (0.0, 0.5, 1.0)}


@dataclass(frozen=True)
class Made:
    """What a study is like.

    Attributes
    ----------
    kind : of the column
    confounded : how the outcome goes with the site, one of `APART`
    shift : of features by sites, standard deviations
    patients, features : how many
    effect : of the first feature: standard deviations between groups, or correlation with a number
    alike : correlation of features with each other
    nasty : sites of unequal size that spread features differently, and tails like Cauchy's
    """

    kind: Kind = "binary"
    confounded: str = "none"
    shift: float = 1.5
    patients: int = 40
    features: int = 10
    effect: float = 0.0
    alike: float = 0.3
    nasty: bool = False


def study(made: Made, rng: np.random.Generator) -> tuple[Study, PatientColumn]:
    """A study of three sites, and its column."""
    n = made.patients
    many = np.array([0, 0, 0, 0, 1, 1, 2]) if made.nasty else np.arange(3)
    site = rng.permutation(many[np.arange(n) % len(many)])
    column = _column(made, site, rng)
    common = rng.normal(size=(n, 1))
    x = np.sqrt(made.alike) * common + np.sqrt(1 - made.alike) * rng.normal(size=(n, made.features))
    if made.effect:
        x[:, 0] = _planted(made, column, x[:, 0], site)
    if made.nasty:
        x = np.tan(np.pi * (stats.norm.cdf(x) - 0.5) * 0.98) * np.array([0.5, 1.0, 2.0])[site, None]
    x += made.shift * rng.normal(size=(3, made.features))[site]
    names = tuple(f"f{j}" for j in range(made.features))
    patients = tuple(f"P{i}" for i in range(n))
    nothing = np.zeros(n, np.intp)
    return (
        Study(patients, tuple((p,) for p in patients), site.astype(np.intp), ("A", "B", "C"),
              nothing,
              ("",), names, x),
        column,
    )  # fmt: skip


def _column(made: Made, site: np.ndarray, rng: np.random.Generator) -> PatientColumn:
    likely = np.array(APART[made.confounded])[site]
    n = len(site)
    if made.kind == "binary":
        return PatientColumn("y", "binary", (rng.random(n) < likely).astype(float), ("no", "yes"))
    pull = 4 * (likely - 0.5)
    if made.kind == "survival":
        time = rng.exponential(np.exp(-pull))
        censored = rng.exponential(2.0, n)
        return PatientColumn("y", "survival", np.minimum(time, censored), (),
                      (time <= censored).astype(float))  # fmt: skip
    if made.kind == "category":
        y = np.clip(np.round(pull / 2 + rng.normal(size=n) * 0.7), -1, 1) + 1
        return PatientColumn("y", "category", y, ("a", "b", "c"))
    return PatientColumn("y", "number", pull + rng.normal(size=n))


def _planted(made: Made, column: PatientColumn, x: np.ndarray, site: np.ndarray) -> np.ndarray:
    if made.kind == "binary":
        return x + made.effect * column.values
    y = column.values.copy()
    for s in range(3):
        y[site == s] -= y[site == s].mean()
    y /= max(y.std(), 1e-9)
    return made.effect * y + np.sqrt(1 - made.effect**2) * x


def judged(
    made: Study, column: PatientColumn, permutations: int = 400, seed: int = 0
) -> list[Finding]:
    """All findings of a study."""
    found = related(
        made, column, blocks=made.site, permutations=permutations,
        finest=0.05 / len(made.names), seed=seed, task=Task(),
    )  # fmt: skip
    return findings(found, 0.05)


def naive_q(made: Study, column: PatientColumn) -> np.ndarray:
    """q of what most people do: all patients together, a test per feature of scipy's."""
    y = column.values
    p = []
    for x in made.values.T:
        if column.kind == "binary":
            one, none = x[y > 0], x[y <= 0]
            p.append(stats.mannwhitneyu(one, none).pvalue if len(one) and len(none) else 1.0)
        elif column.kind == "category":
            p.append(stats.kruskal(*[x[y == k] for k in np.unique(y)]).pvalue)
        elif column.kind == "survival":
            high = x > np.median(x)
            times = [
                stats.CensoredData(
                    uncensored=y[(column.event > 0) & g], right=y[(column.event <= 0) & g]
                )
                for g in (high, ~high)
            ]
            p.append(stats.logrank(*times).pvalue)
        else:
            p.append(stats.spearmanr(x, y).pvalue)
    return stats.false_discovery_control(p)
