"""One column at a time: each feature against it, within sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.effects import Effect
from histoprompt.pipelines.relate.permute import Design, permuted
from histoprompt.pipelines.relate.statistical_tests import (
    METHODS,
    WIDE,
    CompleteCases,
    StatisticalTest,
    kind_of_feature,
)
from histoprompt.pipelines.relate.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Tested:
    """One feature against one column.

    Attributes
    ----------
    feature, column, test : str
    n : int
        Patients with both.
    sites : int
        Of these patients.
    telling : tuple of str
        Sites in which both differ between patients; the others say nothing.
    effect, low, high : float
        Within sites, with its 95 % interval.
    p : float
        Of the permutation within blocks; nan where there is nothing to permute.
    permutations : int
    left_out : dict of str to (float, float)
        Effect and p without each site.
    signed : bool
        Whether the effect has a direction.
    varies : bool
        Whether the feature has more than one value at all.
    transfer : bool
        Whether a site left out is one that a model was not learnt from.
    """

    feature: str
    column: str
    test: str
    n: int
    sites: int
    telling: tuple[str, ...]
    effect: float
    low: float
    high: float
    p: float
    permutations: int
    left_out: dict[str, tuple[float, float]]
    signed: bool
    varies: bool = True
    transfer: bool = False


def related(
    study: Study, column: PatientColumn, *, blocks: Ints, permutations: int, finest: float,
    seed: int, task: Task,
) -> list[Tested]:  # fmt: skip
    """Each feature of a study against a column, in the order of the features.

    Parameters
    ----------
    study : Study
    column : PatientColumn
    blocks : (patients,) int
        In which values may change places.
    permutations : int
    finest : float
        The smallest p that matters.
    seed : int
    task : Task
    """
    rng = np.random.default_rng([seed, *column.name.encode()])
    found: dict[int, Tested] = {}
    groups = list(_groups(study, column))
    done = 0
    for method, features, rows in groups:
        task.step(done, study.values.shape[1], f"Relating {column.name}", "feature")
        part = _part(study, column, blocks, features, rows)
        made = _tested(
            study, column, method, part, features=features, how=(permutations, finest), rng=rng,
            task=task,
        )  # fmt: skip
        found |= dict(zip(features.tolist(), made, strict=True))
        done += len(features)
    task.step(study.values.shape[1], study.values.shape[1], f"Relating {column.name}", "feature")
    return [found[i] for i in range(study.values.shape[1])]


def _groups(
    study: Study, column: PatientColumn
) -> Iterator[tuple[StatisticalTest, Ints, NDArray[np.bool_]]]:
    """Features that are tested together: by the same method, in the same patients."""
    known = np.isfinite(study.values) & column.known[:, None]
    together: dict[tuple[int, bytes], list[int]] = {}
    methods = list(METHODS.values())
    for j, name in enumerate(study.names):
        kind = kind_of_feature(study.values[known[:, j], j], study.levels.get(name, ()))
        method = METHODS[kind, column.kind]
        alone = b"" if method in WIDE else j.to_bytes(4, "big")
        key = (methods.index(method), np.packbits(known[:, j]).tobytes() + alone)
        together.setdefault(key, []).append(j)
    for (which, _), features in together.items():
        yield methods[which], np.array(features), known[:, features[0]]


def _part(
    study: Study, column: PatientColumn, blocks: Ints, features: Ints, rows: NDArray[np.bool_]
) -> CompleteCases:
    event = np.zeros(len(study)) if column.event is None else column.event
    values = study.values[np.ix_(np.flatnonzero(rows), features)]
    within = np.unique(blocks[rows], return_inverse=True)[1].reshape(-1)
    return CompleteCases(
        values, column.values[rows], event[rows], len(column.levels), within.astype(np.intp),
        study.site[rows],
    )  # fmt: skip


def _tested(
    study: Study, column: PatientColumn, method: StatisticalTest, part: CompleteCases, *,
    features: Ints, how: tuple[int, float], rng: np.random.Generator, task: Task,
) -> list[Tested]:  # fmt: skip
    names = [study.names[j] for j in features]
    if len(part.y) < 2:
        return [_untold(n, column, method, part) for n in names]
    design = method.design(part)
    result = permuted(design, *how, rng, task)
    effect = method.effect(part, result.statistic, result.freedom)
    telling = _telling(design)
    at = np.unique(part.sites)
    sites = [study.sites[s] for s in at]
    left = [_effect_without(method, part, s, result.freedom) for s in at] if len(at) > 1 else []
    out = []
    for j, name in enumerate(names):
        # where no site tells, there is no effect, however sites differ
        ends = (effect.size, effect.low, effect.high)
        size, low, high = (float(v[j]) if result.freedom[j] > 0 else np.nan for v in ends)
        pairs = zip(left, result.p_left_out[:, j].tolist(), strict=bool(left))
        out.append(Tested(
            name, column.name, method.name, len(part.y), len(at),
            tuple(s for s, tells in zip(sites, telling[:, j], strict=True) if tells),
            size, low, high, float(result.p[j]), int(result.permutations[j]),
            {s: (float(e[j]), p) for s, (e, p) in zip(sites, pairs, strict=False)},
            method.signed, len(np.unique(part.values[:, j])) > 1,
        ))  # fmt: skip
    return out


def _untold(
    name: str, column: PatientColumn, method: StatisticalTest, part: CompleteCases
) -> Tested:
    nan = float("nan")
    return Tested(name, column.name, method.name, len(part.y), len(np.unique(part.sites)), (), nan,
                  nan, nan, nan, 0, {}, method.signed, False)  # fmt: skip


def _telling(design: Design) -> NDArray[np.bool_]:
    """In which sites (sites, features) both feature and column vary within a block."""
    found = []
    for site in np.unique(design.sites):
        tells = np.zeros(design.features, bool)
        for block in np.unique(design.blocks[design.sites == site]):
            rows = design.blocks == block
            if np.abs(design.y[rows]).max() > 1e-12:
                tells |= np.abs(design.x[rows]).max(axis=(0, 2)) > 1e-12
        found.append(tells)
    return np.array(found)


def _effect_without(
    method: StatisticalTest, part: CompleteCases, site: int, freedom: Ints
) -> Floats:
    """The effect where a site is left out; nan of methods without a direction."""
    rest = part.rows(part.sites != site)
    if not method.signed or len(rest.y) < 2:
        return np.full(len(freedom), np.nan)
    return method.effect(rest, np.zeros(len(freedom)), freedom).size


def effects_by_site(
    study: Study, column: PatientColumn, feature: str
) -> list[tuple[str, int, Effect]]:
    """The effect in each site by itself, for a forest plot: name, patients, effect."""
    j = study.names.index(feature)
    rows = np.isfinite(study.values[:, j]) & column.known
    kind = kind_of_feature(study.values[rows, j], study.levels.get(feature, ()))
    method = METHODS[kind, column.kind]
    found = []
    for s, name in enumerate(study.sites):
        here = rows & (study.site == s)
        if here.sum() < 4 or not method.signed:
            continue
        alone = np.zeros(len(study), np.intp)
        part = _part(study, column, alone, np.array([j]), here)
        effect = method.effect(part, np.zeros(1), np.ones(1, np.intp))
        if np.isfinite(effect.size[0]):
            found.append((name, int(here.sum()), effect))
    return found
