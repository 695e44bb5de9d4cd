"""What comes first: how well features tell the site, and how columns go with it.

Features of a slide tell the hospital it comes from. Where the column that is asked for goes with
the hospital too, a finding may be about hospitals only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.one_column import Tested, related
from histoprompt.pipelines.relate.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_PERMUTATIONS = 500
# Below this p a column goes with the site, or with the scanner within sites.
GOES_WITH = 0.05
# Patients of a group that a probe can learn.
_LEAST = 3


@dataclass(frozen=True)
class Probe:
    """How well something can be told from the features, each patient by a model of all others.

    Attributes
    ----------
    what : str
        site or scanner.
    groups : tuple of str
    patients : int
    accuracy : float
        Balanced: the mean over groups of the share that is told rightly.
    chance : float
        The mean of the same with groups permuted.
    chance_high : float
        What 95 in 100 permutations stay below.
    p : float
    told : str
        In a sentence.
    """

    what: str
    groups: tuple[str, ...]
    patients: int
    accuracy: float
    chance: float
    chance_high: float
    p: float
    told: str


@dataclass(frozen=True)
class Confounding:
    """How a column goes with sites, or with scanners within sites.

    Attributes
    ----------
    column : str
    what : str
        site or scanner.
    test : str
    n : int
    effect, low, high, p : float
    robustness : float
        Of the nearest patients by features, how many have the same value and another site, among
        those and the ones with another value and the same site: 1 is all biology, 0 all site.
    told : str
    """

    column: str
    what: str
    test: str
    n: int
    effect: float
    low: float
    high: float
    p: float
    robustness: float
    told: str

    @property
    def goes_along(self) -> bool:
        """Whether the column goes with it."""
        return self.p <= GOES_WITH


@dataclass(frozen=True)
class Guard:
    """Page one.

    Attributes
    ----------
    probes : tuple of Probe
    confounded : tuple of Confounding
    features_of_site : int
        Features that differ between sites at p <= 0.05.
    features : int
    warnings : tuple of str
    """

    probes: tuple[Probe, ...]
    confounded: tuple[Confounding, ...]
    features_of_site: int
    features: int
    warnings: tuple[str, ...]


def guarded_study(study: Study, columns: Sequence[PatientColumn], seed: int, task: Task) -> Guard:
    """Look at site and scanner before anything else.

    Parameters
    ----------
    study : Study
    columns : sequence of PatientColumn
    seed : int
    task : Task
    """
    x = standardised(study)
    of = (("site", study.site, study.sites), ("scanner", study.scanner, study.scanners))
    probes = [p for what, at, names in of if (p := _probe(x, at, names, what, seed))]
    found = []
    for column in columns:
        if len(study.sites) > 1:
            found.append(_confounding(study, column, "site", x=x, seed=seed, task=task.quiet()))
        if _scanner_varies(study):
            found.append(_confounding(study, column, "scanner", x=x, seed=seed, task=task.quiet()))
    of_site = _of_site(study, seed, task.quiet())
    warnings = list(_warnings(study, probes, found))
    return Guard(tuple(probes), tuple(found), of_site, len(study.names), tuple(warnings))


def standardised(study: Study) -> Floats:
    """Features by mean and deviation, (patients, columns); unknown ones at the mean.

    Features of one unit keep their spreads: to make the last of many components as wide as the
    first would drown it in noise.
    """
    blocks = []
    for j, name in enumerate(study.names):
        values = study.values[:, j]
        levels = study.levels.get(name, ())
        columns = [values == k for k in range(len(levels))] if len(levels) > 2 else [values]
        blocks += [np.asarray(c, float) for c in columns]
    x = np.stack(blocks, axis=1)
    known = np.isfinite(x)
    counted = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, x, 0.0).sum(axis=0) / counted
    x = np.where(known, x - mean, 0.0)
    spread = np.sqrt((x**2).sum(axis=0) / counted)
    if study.one_unit:
        spread = np.full_like(spread, np.sqrt((spread**2).mean()))
    return np.asarray(x / np.where(spread > 0, spread, 1.0))


def left_out_map(x: Floats, strength: float = 1.0) -> Floats:
    """The matrix that gives each patient's prediction by a ridge regression on all others.

    Parameters
    ----------
    x : (n, features) float64
    strength : float
        Of the ridge, in units of the mean eigenvalue.

    Returns
    -------
    (n, n) float64
        ``found @ y`` are the predictions; its diagonal is 0.
    """
    n = len(x)
    x = x - x.mean(axis=0)
    kernel = x @ x.T
    ridge = max(strength * float(np.trace(kernel)) / n, 1e-9)
    hat = np.linalg.solve(kernel + ridge * np.eye(n), kernel).T + 1.0 / n
    own = np.diag(hat).copy()
    np.fill_diagonal(hat, 0.0)
    return np.asarray(hat / np.maximum(1 - own, 1e-6)[:, None])


def _probe(x: Floats, of: Ints, names: tuple[str, ...], what: str, seed: int) -> Probe | None:
    counts = np.bincount(of, minlength=len(names))
    groups = np.flatnonzero(counts >= _LEAST)
    if len(groups) < 2:
        return None
    rows = np.isin(of, groups)
    label = np.searchsorted(groups, of[rows])
    one_hot = np.eye(len(groups))[label]
    # groups of other sizes weigh the same
    one_hot = one_hot / np.sqrt(one_hot.sum(axis=0))
    hat = left_out_map(x[rows])
    seen = _balanced(hat @ one_hot, label)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_PERMUTATIONS):
        order = rng.permutation(len(label))
        drawn.append(_balanced(hat @ one_hot[order], label[order]))
    p = (1 + sum(d >= seen - 1e-12 for d in drawn)) / (1 + _PERMUTATIONS)
    mean, high = float(np.mean(drawn)), float(np.quantile(drawn, 0.95))
    verdict = "The features tell" if p <= GOES_WITH else "The features do not visibly tell"
    told = (
        f"{verdict} the {what}: {seen:.0%} of patients are assigned to the right one of "
        f"{len(groups)} (chance {mean:.0%}, up to {high:.0%}; n = {int(rows.sum())} patients, p "
        f"= {p:.2g})."
    )
    kept = tuple(names[g] for g in groups)
    return Probe(what, kept, int(rows.sum()), seen, mean, high, p, told)


def _balanced(scores: Floats, label: Ints) -> float:
    right = scores.argmax(axis=1) == label
    return float(np.mean([right[label == g].mean() for g in np.unique(label)]))


def _scanner_varies(study: Study) -> bool:
    return any(len(np.unique(study.scanner[study.site == s])) > 1 for s in range(len(study.sites)))


def _as_feature(study: Study, of: Ints, names: tuple[str, ...], what: str) -> Study:
    """Site or scanner as the one feature."""
    levels = {what: names} if len(names) > 1 else {}
    return replace(study, names=(what,), values=of[:, None].astype(float), levels=levels)


def _confounding(
    study: Study, column: PatientColumn, what: str, *, x: Floats, seed: int, task: Task
) -> Confounding:
    if what == "site":
        whole = np.zeros(len(study), np.intp)
        asked = _as_feature(
            replace(study, site=whole, sites=("all",)), study.site, study.sites, what
        )
        blocks = whole
    else:
        asked = _as_feature(study, study.scanner, study.scanners, what)
        blocks = study.site
    one = related(
        asked, column, blocks=blocks, permutations=1000, finest=1.0, seed=seed, task=task
    )[0]
    index = _robustness(x, study, column) if what == "site" else float("nan")
    return Confounding(
        column.name, what, one.test, one.n, one.effect, one.low, one.high, one.p, index,
        _told(one, what),
    )  # fmt: skip


def _told(one: Tested, what: str) -> str:
    where = "" if what == "site" else " within sites"
    if not np.isfinite(one.p):
        return f"Whether {one.column} goes with the {what}{where} cannot be told."
    word = "goes with" if one.p <= GOES_WITH else "does not visibly go with"
    size = (
        f"{one.test}, effect {one.effect:.2f}, {one.low:.2f} to {one.high:.2f}, "
        if np.isfinite(one.effect) else ""
    )  # fmt: skip
    return f"{one.column} {word} the {what}{where} ({size}p = {one.p:.2g}, n = {one.n})."


def _robustness(x: Floats, study: Study, column: PatientColumn) -> float:
    """The index of PathoROB on patients: same value, other site against other value, same site."""
    if column.kind not in ("binary", "category", "ordinal"):
        return float("nan")
    rows = np.flatnonzero(column.known)
    x, y, site = x[rows], column.values[rows], study.site[rows]
    near = min(10, len(rows) - 1)
    length = np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    like = (x / length) @ (x / length).T
    np.fill_diagonal(like, -np.inf)
    order = np.argsort(-like, axis=1, kind="stable")[:, :near]
    same_value, same_site = y[order] == y[:, None], site[order] == site[:, None]
    good, bad = (same_value & ~same_site).sum(), (~same_value & same_site).sum()
    return float(good / (good + bad)) if good + bad else float("nan")


def _of_site(study: Study, seed: int, task: Task) -> int:
    """How many features differ between sites."""
    if len(study.sites) < 2:
        return 0
    whole = np.zeros(len(study), np.intp)
    site = PatientColumn("site", "category" if len(study.sites) > 2 else "binary",
                  study.site.astype(float), study.sites)  # fmt: skip
    asked = replace(study, site=whole, sites=("all",))
    found = related(asked, site, blocks=whole, permutations=200, finest=1.0, seed=seed, task=task)
    return sum(t.p <= GOES_WITH for t in found)


def _warnings(study: Study, probes: Sequence[Probe], found: Sequence[Confounding]) -> Sequence[str]:
    said = []
    if len(study.sites) < 2:
        said.append(
            "All patients are of one site: nothing can be left out, so no finding can survive. Add "
            "patients of another site, or say of which site each patient is."
        )
    telling = {p.what for p in probes if p.p <= GOES_WITH}
    said += [
        f"{c.column} goes with the {c.what}, and so do the features: compared over all patients "
        "they would seem related even if they were not."
        for c in found if c.goes_along and c.what in telling
    ]  # fmt: skip
    small = [study.sites[s] for s in range(len(study.sites)) if (study.site == s).sum() < _LEAST]
    if small and len(study.sites) > 1:
        said.append(f"Sites of fewer than {_LEAST} patients: {len(small)} ({small[0]}).")
    return said
