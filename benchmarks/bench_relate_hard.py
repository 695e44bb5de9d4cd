"""False findings and power where studies are nastier than the made ones of `bench_relate_null.py`.

    python benchmarks/bench_relate_hard.py [--studies 150] [--power 60]

Sites of very unequal size that shift features and spread them differently, tails as heavy as
Cauchy's, two slides of some patients, values missing by site, an outcome that the site nearly
decides, times with ties and a censoring that goes with a feature. Every column is judged as the
command judges it: all features and the model of all together, one q. Writes
benchmarks/results/relate-hard.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.findings import Finding, findings
from histoprompt.pipelines.relate.many import predicted_column
from histoprompt.pipelines.relate.one_column import related
from histoprompt.pipelines.relate.study import Study

ROOT = Path(__file__).resolve().parents[1]
SHARES = (0.55, 0.2, 0.12, 0.08, 0.05)
# How much each site adds to the log odds, the hazard or the level of an outcome.
PULL = (-2.0, 2.5, 0.0, 3.0, -3.0)
KINDS = ("binary", "ordinal", "category", "number", "survival", "rare", "censored")
FEATURES = 8


@dataclass(frozen=True)
class Hard:
    """A nasty study: what is asked of it, of how many patients, with what planted effect."""

    kind: str
    patients: int
    effect: float = 0.0
    missing: float = 0.15
    model: bool = False


def hard_study(hard: Hard, rng: np.random.Generator) -> tuple[Study, PatientColumn]:
    """Features and an outcome that have nothing to do with each other but the first, if planted."""
    n = hard.patients
    site = rng.choice(len(SHARES), n, p=SHARES)
    hidden = rng.normal(size=n)
    column = _column(hard, site, hidden, rng)
    tails = np.array([rng.standard_t(1.2, n) if j % 2 else rng.normal(size=n)
                      for j in range(FEATURES)]).T  # fmt: skip
    x = tails + rng.normal(size=(n, 1))
    if hard.kind == "censored":  # who has more of a feature is seen for a shorter time
        x[:, 1:3] += 1.5 * hidden[:, None]
    if hard.effect:
        x[:, 0] += hard.effect * _scaled(column, site)
    spread = np.exp(rng.normal(0, 0.8, (len(SHARES), FEATURES)))
    x = x * spread[site] + (4 * rng.normal(size=(len(SHARES), FEATURES)))[site]
    # some patients are measured on two slides, and the mean of two varies less
    twice = rng.random(n) < 0.4
    x[twice] += 0.3 * spread[site[twice]] * rng.normal(size=(int(twice.sum()), FEATURES))
    gone = rng.random((n, FEATURES)) < (hard.missing * (1 + (site == 1)))[:, None]
    x[gone] = np.nan
    names = tuple(f"f{j}" for j in range(FEATURES))
    patients = tuple(f"P{i}" for i in range(n))
    used, at = np.unique(site, return_inverse=True)
    return (
        Study(patients, tuple((p,) for p in patients), at.astype(np.intp),
              tuple("ABCDE"[s] for s in used), np.zeros(n, np.intp), ("",), names, x),
        column,
    )  # fmt: skip


def _column(
    hard: Hard, site: NDArray[np.intp], hidden: NDArray[np.float64], rng: np.random.Generator
) -> PatientColumn:
    pull, n = np.array(PULL)[site], len(site)
    if hard.kind in ("binary", "rare"):
        shift = -1.5 if hard.kind == "rare" else 0.0
        y = (rng.logistic(size=n) < pull + shift).astype(float)
        return PatientColumn("y", "binary", y, ("no", "yes"))
    if hard.kind in ("ordinal", "category"):
        y = np.digitize(pull / 2 + rng.normal(size=n), (-1.2, 0.0, 1.2)).astype(float)
        return PatientColumn("y", hard.kind, y, ("a", "b", "c", "d"))  # type: ignore[arg-type]
    if hard.kind == "number":
        return PatientColumn("y", "number", pull + rng.standard_t(2, n) * np.exp(0.5 * (site % 2)))
    of = np.exp(-0.7 * pull) * rng.weibull(0.8, n)
    gone = np.exp(-0.5 * pull) * rng.exponential(1.5, n)
    if hard.kind == "censored":
        gone *= np.exp(-1.2 * hidden)
    months = np.ceil(np.minimum(of, gone) * 8)
    return PatientColumn("y", "survival", months, (), (of <= gone).astype(float))


def _scaled(column: PatientColumn, site: NDArray[np.intp]) -> NDArray[np.float64]:
    y = -np.log(column.values) if column.event is not None else column.values.copy()
    for s in np.unique(site):
        y[site == s] -= y[site == s].mean()
    return np.asarray(y / max(float(y.std()), 1e-9))


def judged(hard: Hard, seed: int, permutations: int = 300) -> list[Finding]:
    """All findings of a study, as the command makes them."""
    study, column = hard_study(hard, np.random.default_rng([seed, hard.patients]))
    finest = 0.05 / (FEATURES + 1)
    how = {"blocks": study.site, "finest": finest, "seed": seed, "task": Task()}
    tested = related(study, column, permutations=permutations, **how)  # type: ignore[arg-type]
    if hard.model:
        model = predicted_column(study, column, folds=5, permutations=1000, **how)  # type: ignore[arg-type]
        tested += [model.tested] if model else []
    return findings(tested, 0.05)


def null_lines(studies: int) -> Iterator[str]:
    """False findings where nothing is to be found."""
    asked = [(k, n, False) for k in KINDS for n in (24, 60)]
    asked += [(k, 60, True) for k in ("binary", "survival", "number")]
    for kind, patients, model in asked:
        many = studies // 3 if model else studies
        found = alive = 0
        for seed in range(many):
            all_ = judged(Hard(kind, patients, model=model), seed)
            found += any(f.q <= 0.05 for f in all_)
            alive += any(f.survives for f in all_)
        line = (kind, str(patients), "yes" if model else "no", str(many),
                f"{found / many:.1%}", f"{alive / many:.1%}")  # fmt: skip
        print(*line, flush=True)
        yield f"| {' | '.join(line)} |"


def power_lines(studies: int) -> Iterator[str]:
    """How often an effect of the first feature is found."""
    for kind in ("binary", "ordinal", "category", "number", "survival"):
        for patients in (60, 150):
            found = alive = false = 0
            for seed in range(studies):
                all_ = judged(Hard(kind, patients, 1.5), seed)
                first = next(f for f in all_ if f.tested.feature == "f0")
                found += first.q <= 0.05
                alive += first.survives
                false += any(f.survives for f in all_ if f is not first)
            line = (kind, str(patients), f"{found / studies:.0%}", f"{alive / studies:.0%}",
                    f"{false / studies:.1%}")  # fmt: skip
            print(*line, flush=True)
            yield f"| {' | '.join(line)} |"


def main() -> None:
    """Simulate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=150)
    parser.add_argument("--power", type=int, default=60)
    args = parser.parse_args()
    null, power = list(null_lines(args.studies)), list(power_lines(args.power))
    error = 1.96 * np.sqrt(0.05 * 0.95 / args.studies)
    few = 1.96 * np.sqrt(0.05 * 0.95 / (args.studies // 3))
    text = (
        "# Relating: nasty studies\n\n"
        f"`python benchmarks/bench_relate_hard.py --studies {args.studies} --power {args.power}`: "
        f"{FEATURES} features, half of them with the tails of Student's t of 1.2 degrees; sites "
        "with 55, 20, 12, 8 and 5 % of the patients, which shift features by 4 standard "
        "deviations, spread them by factors of e^0.8, and decide most of the outcome; 15 % of the "
        "values missing (30 % at one site). *rare*: few yes; *survival*: times with ties; "
        "*censored*: two features go with how long a patient was seen, and not with the hazard. "
        "Share of studies with any false finding; aim 5 %, Monte-Carlo error "
        f"±{error:.1%} ({few:.1%} with the model of all features).\n\n"
        "| column | patients | with model | studies | q ≤ 0.05 | survives |\n"
        "|---|---:|---|---:|---:|---:|\n"
        + "\n".join(null)
        + "\n\nThe first feature moved by 1.5 standard deviations per standard deviation of the "
        f"outcome within sites; {args.power} studies per line. *False*: any other that survives.\n"
        "\n| column | patients | q ≤ 0.05 | survives | false |\n|---|---:|---:|---:|---:|\n"
        + "\n".join(power)
        + "\n"
    )
    (ROOT / "benchmarks" / "results" / "relate-hard.md").write_text(text)


if __name__ == "__main__":
    main()
