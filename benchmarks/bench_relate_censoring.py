"""Time to event where patients leave early: what is guarded, and what cannot be.

    python benchmarks/bench_relate_censoring.py [--studies 200]

Sixty patients of three sites, eight features that have nothing to do with the event. Writes
benchmarks/results/relate-censoring.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.censoring import GOES_WITH, with_leaving
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.findings import findings
from histoprompt.pipelines.relate.one_column import related
from histoprompt.pipelines.relate.study import Study

ROOT = Path(__file__).resolve().parents[1]
PATIENTS, FEATURES = 60, 8
KINDS = {
    "by chance": "patients leave whatever happens",
    "by site": "each site follows its patients for another time",
    "by the feature": "who has more of the first feature leaves earlier",
    "before the event": "half of those whose event is near leave before it",
    "by the feature, before the event": "both: of those with more of the first feature, most leave "
    "shortly before their event",
}


def made(kind: str, seed: int) -> tuple[Study, PatientColumn]:
    """A study without any effect."""
    rng = np.random.default_rng(seed)
    site = rng.integers(0, 3, PATIENTS)
    x = rng.normal(size=(PATIENTS, FEATURES))
    event = rng.exponential(1.0, PATIENTS) * np.exp(0.5 * (site - 1))
    leave = rng.exponential(1.5, PATIENTS)
    if kind == "by site":
        leave = np.array([0.5, 1.0, 3.0])[site] * rng.uniform(0.8, 1.0, PATIENTS)
    if kind == "by the feature":
        leave = leave * np.exp(-1.5 * x[:, 0])
    if kind == "before the event":
        leave = np.where(rng.random(PATIENTS) < 0.5, 0.9 * event, leave)
    if kind == "by the feature, before the event":
        leave = np.where(rng.random(PATIENTS) < 0.85 * (x[:, 0] > 0), 0.9 * event, leave)
    x = x + 1.5 * rng.normal(size=(3, FEATURES))[site]
    names = tuple(f"f{j}" for j in range(FEATURES))
    patients = tuple(f"P{i}" for i in range(PATIENTS))
    used, at = np.unique(site, return_inverse=True)
    study = Study(
        patients, tuple((p,) for p in patients), at.astype(np.intp),
        tuple("ABC"[s] for s in used), np.zeros(PATIENTS, np.intp), ("",), names, x,
    )  # fmt: skip
    time = np.minimum(event, leave)
    return study, PatientColumn("y", "survival", time, (), (event <= leave).astype(float))


def lines(studies: int) -> Iterator[str]:
    """A line per way of leaving."""
    for kind, told in KINDS.items():
        any_, alive, first, marked, left = 0, 0, 0, 0, []
        for seed in range(studies):
            study, column = made(kind, seed)
            how = {"blocks": study.site, "seed": seed, "task": Task()}
            tested = related(study, column, permutations=400, finest=0.05 / FEATURES, **how)
            found = findings(tested, 0.05)
            seen = with_leaving(study, [column], study.site, seed, Task())
            any_ += any(f.q <= 0.05 for f in found)
            alive += any(f.survives for f in found)
            first += any(f.survives for f in found if f.tested.feature == "f0")
            marked += seen["f0", "y"] <= GOES_WITH
            left.append(1 - column.event.mean())
        shares = [f"{v / studies:.1%}" for v in (any_, alive, first, marked)]
        print(kind, *shares, flush=True)
        yield f"| {kind}: {told} | {np.mean(left):.0%} | {' | '.join(shares)} |"


def main() -> None:
    """Simulate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    args = parser.parse_args()
    error = 1.96 * np.sqrt(0.05 * 0.95 / args.studies)
    text = (
        "# Relating: patients who leave early\n\n"
        f"`python benchmarks/bench_relate_censoring.py --studies {args.studies}`: {PATIENTS} "
        f"patients of three sites, {FEATURES} features that have nothing to do with the event, "
        "which is all that differs between sites. Share of studies with any false finding (aim "
        f"5 %, Monte-Carlo error ±{error:.1%}), with one of the first feature, and in which the "
        "report says that the first feature goes with how long patients were seen.\n\n"
        "| patients leave | that left | q ≤ 0.05 | survives | the first feature survives | it is "
        "said to go with leaving |\n|---|---:|---:|---:|---:|---:|\n"
        + "\n".join(lines(args.studies))
        + "\n\nLeaving that goes with the feature alone, with the site, or with the event alone, "
        "makes no more false findings than chance. Where it goes with both, the event is seen less "
        "often in those with more of the feature, though it comes as early: a false finding that "
        "holds at every site. Nothing guards against it, as no test of such data can tell it from "
        "a true one. That the feature goes with leaving is told where more of it means to leave "
        "earlier; where leaving takes the place of events, as in the last line, it seldom shows. "
        "Silence is no proof.\n"
    )
    (ROOT / "benchmarks" / "results" / "relate-censoring.md").write_text(text)


if __name__ == "__main__":
    main()
