"""Are findings there that are none? Are those found that are there? Simulated studies.

    python benchmarks/bench_relate_null.py [--studies 500] [--power 200]

Studies as in `tests/simulated_studies.py`: 40 patients of three sites, ten features that sites
shift by 1.5 standard deviations. Writes benchmarks/results/relate-null.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
from histoprompt.core.task import Task  # noqa: E402
from histoprompt.pipelines.relate.guard import guarded_study  # noqa: E402
from simulated_studies import APART, Made, judged, naive_q, study  # noqa: E402

KINDS = ("binary", "number", "survival", "category")
WORDS = {"none": "no", "some": "yes", "all": "wholly, in two of three"}


def null_line(kind: str, confounded: str, studies: int) -> str:
    """False findings where nothing is to be found."""
    found = alive = naive = 0
    for seed in range(studies):
        one, column = study(Made(kind, confounded), np.random.default_rng(seed))
        findings = judged(one, column, 400, seed)
        found += any(f.q <= 0.05 for f in findings)
        alive += any(f.survives for f in findings)
        naive += bool((naive_q(one, column) <= 0.05).any())
    shares = [f"{v / studies:.1%}" for v in (found, alive, naive)]
    print(kind, confounded, *shares, flush=True)
    return f"| {kind} | {WORDS[confounded]} | {' | '.join(shares)} |"


def truth(kind: str, effect: float) -> float:
    """The effect within sites that was put in, on the scale it is reported on."""
    if kind == "binary":
        return float(2 * stats.norm.cdf(effect / np.sqrt(2)) - 1)
    return float(6 / np.pi * np.arcsin(effect / 2))


def power_line(kind: str, effect: float, patients: int, studies: int) -> str:
    """How often a planted effect survives, its bias, and how often its interval holds it."""
    true = truth(kind, effect)
    found = alive = inside = 0
    sizes = []
    for seed in range(studies):
        made = Made(kind, "some", patients=patients, effect=effect)
        one, column = study(made, np.random.default_rng(seed))
        first = next(f for f in judged(one, column, 400, seed) if f.tested.feature == "f0")
        found += first.q <= 0.05
        alive += first.survives
        inside += first.tested.low <= true <= first.tested.high
        sizes.append(first.tested.effect)
    bias = float(np.mean(sizes)) - true
    print(
        kind, effect, patients, found / studies, alive / studies, bias, inside / studies, flush=True
    )
    return (
        f"| {kind} | {patients} | {effect:g} | {true:.2f} | {found / studies:.0%} | "
        f"{alive / studies:.0%} | {bias:+.3f} | {inside / studies:.1%} |"
    )


def probe() -> str:
    """How well the site is told from features that sites shift so much."""
    told = []
    for seed in range(20):
        one, column = study(Made(), np.random.default_rng(seed))
        told.append(guarded_study(one, [column], 1, Task()).probes[0].accuracy)
    return f"{np.mean(told):.0%}"


def main() -> None:
    """Simulate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--power", type=int, default=200)
    args = parser.parse_args()
    start = time.process_time()
    null = [null_line(k, c, args.studies) for k in KINDS for c in APART]
    power = [
        power_line(kind, effect, patients, args.power)
        for kind, effects in (("binary", (0.8, 1.5)), ("number", (0.4, 0.6)))
        for patients in (40, 100, 200)
        for effect in effects
    ]
    error = 1.96 * np.sqrt(0.05 * 0.95 / args.studies)
    text = (
        "# Relating: false findings and power\n\n"
        f"`python benchmarks/bench_relate_null.py`: {args.studies} studies per line of 40 "
        "patients, three sites, ten features that sites shift by 1.5 standard deviations (the "
        f"site is then told from the features for {probe()} of patients) and nothing to be "
        "found. Share of studies with at least one false finding (family-wise): by q ≤ 0.05, by "
        "*survives*, and by what most people do (all patients together, a test of scipy per "
        f"feature, q ≤ 0.05). Aim: 5 %; Monte-Carlo error ±{error:.1%}.\n\n"
        "| column | goes with the site | q ≤ 0.05 | survives | naive |\n|---|---|---:|---:|---:|\n"
        + "\n".join(null)
        + "\n\nOne feature of ten with an effect (between groups in standard deviations, or a "
        f"correlation with a number), the column going with the site; {args.power} studies per "
        "line. True effect, bias and interval on the scale of the report (Cliff's delta, rho; "
        "within sites). *Survives* asks for p ≤ 0.05 without each site too, which costs power "
        "where patients are few.\n\n"
        "| column | patients | planted | true effect | q ≤ 0.05 | survives | bias | interval holds "
        "it |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
        + "\n".join(power)
        + f"\n\n{time.process_time() - start:.0f} CPU seconds.\n"
    )
    (ROOT / "benchmarks" / "results" / "relate-null.md").write_text(text)


if __name__ == "__main__":
    main()
