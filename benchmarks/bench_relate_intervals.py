"""Do intervals of few patients hold their level? Simulated studies.

    python benchmarks/bench_relate_intervals.py [--studies 300]

Spearman's correlation within sites of very few patients, beside Fisher's z with the error of Bonett
and Wright; and the concordance of a column predicted from all features, up to predictions that are
all right. Writes benchmarks/results/relate-intervals.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.many import predicted_column
from histoprompt.pipelines.relate.rank_correlation import spearman
from histoprompt.pipelines.relate.study import Study

ROOT = Path(__file__).resolve().parents[1]
SITES = {
    "7 of 3": (3,) * 7, "20 of 3": (3,) * 20, "6 of 4": (4,) * 6, "5 of 5": (5,) * 5,
    "7, 7 and 6": (7, 7, 6), "1 of 20": (20,), "1 of 60": (60,), "30, 10, 3 and 2": (30, 10, 3, 2),
}  # fmt: skip
AT_ONCE = 10


def correlations(studies: int) -> Iterator[str]:
    """A line per set of sites and correlation of normal values."""
    for name, patients in SITES.items():
        site = np.repeat(np.arange(len(patients)), patients)
        free = sum(patients) - len(patients) - 2
        for r in (0.0, 0.5, 0.8, 0.95):
            rng = np.random.default_rng(1)
            found = []
            for _ in range(studies // AT_ONCE * 4):
                y = rng.normal(size=len(site))
                x = r * y[:, None] + np.sqrt(1 - r**2) * rng.normal(size=(len(site), AT_ONCE))
                found.append(spearman(x, y, site))
            rho, low, high = (
                np.array([getattr(f, e) for f in found]) for e in ("size", "low", "high")
            )
            mean, many = rho.mean(), 6 / np.pi * np.arcsin(r / 2)
            z = np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9))
            wide = 1.96 * np.sqrt((1 + rho**2 / 2) / free)
            plain = np.tanh(z - wide), np.tanh(z + wide)
            ends = ((low, high), plain)
            shares = [f"{_holds(*e, truth):.1%}" for e in ends for truth in (mean, many)]
            widths = [f"{(b - a).mean() / 2:.2f}" for a, b in ends]
            line = (name, f"{r:g}", f"{mean:.3f}", f"{many:.3f}", *shares, *widths)
            yield f"| {' | '.join(line)} |"


def _holds(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


def concordances(studies: int) -> Iterator[str]:
    """A line per number of patients, of features and size of the effect."""
    for patients, features, apart in (
        (20, 6, 0.0), (20, 6, 1.0), (20, 6, 2.0), (20, 6, 4.0), (20, 6, 12.0), (20, 40, 2.0),
        (40, 6, 0.0), (40, 6, 1.0), (40, 6, 4.0), (40, 100, 1.5), (100, 6, 1.0), (100, 6, 4.0),
    ):  # fmt: skip
        found = []
        for seed in range(studies // 3):
            rng = np.random.default_rng([seed, patients])
            site = np.sort(rng.choice(3, patients, p=(0.5, 0.3, 0.2)))
            group = (np.arange(patients) % 2).astype(float)
            x = rng.normal(size=(patients, features)) + 1.5 * rng.normal(size=(3, features))[site]
            x[:, 0] += apart * group
            names = tuple(f"P{i}" for i in range(patients))
            study = Study(
                names, tuple((n,) for n in names), site.astype(np.intp), ("A", "B", "C"),
                np.zeros(patients, np.intp), ("",), tuple(f"f{j}" for j in range(features)), x,
            )  # fmt: skip
            one = predicted_column(
                study, PatientColumn("y", "binary", group, ("no", "yes")), blocks=study.site,
                folds=5, permutations=1000, finest=0.05, seed=seed, task=Task(),
            )  # fmt: skip
            assert one is not None
            found.append(one.tested)
        effect, low, high, p = (
            np.array([getattr(f, e) for f in found]) for e in ("effect", "low", "high", "p")
        )
        mean = float(effect.mean())
        line = (str(patients), str(features), f"{apart:g}", f"{mean:.2f} ± {effect.std():.2f}",
                f"{(effect == 1).mean():.0%}", f"{_holds(low, high, mean):.0%}",
                f"{(high - low).mean() / 2:.2f}", f"{((low <= 0) & (p <= 0.01)).mean():.0%}",
                f"{((low > 0) & (p > 0.05)).mean():.0%}")  # fmt: skip
        print(*line, flush=True)
        yield f"| {' | '.join(line)} |"


def main() -> None:
    """Simulate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=300)
    args = parser.parse_args()
    start = time.process_time()
    text = (
        "# Relating: intervals of few patients\n\n"
        f"`python benchmarks/bench_relate_intervals.py --studies {args.studies}`\n\n"
        "**Spearman's correlation within sites**, of normal values. *Mean*: of all studies of the "
        "line; *many*: what it would be with many patients per site, which sites of few stay "
        "below. Share of intervals that hold each (aim 95 %, Monte-Carlo error about ±2 %), and "
        "half their mean width; *plain*: Fisher's z with the error of Bonett and Wright.\n\n"
        "| patients of sites | correlation | mean | many | holds the mean | holds many "
        "| plain: mean | plain: many | half | plain: half |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        + "\n".join(correlations(args.studies))
        + "\n\n**All features at once**: two groups, three sites (50, 30, 20 %), one feature that "
        "differs by so many standard deviations. The effect is twice the concordance less 1. "
        f"{args.studies // 3} studies per line. *All right*: no pair was wrong. *Apart*: p is at "
        "most 0.01 and the interval holds 0 all the same; *the other way*: p is over 0.05 and it "
        "does not.\n\n"
        "| patients | features | apart by | effect, mean ± spread | all right | holds the mean "
        "| half an interval | apart | the other way |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        + "\n".join(concordances(args.studies))
        + f"\n\n{time.process_time() - start:.0f} CPU seconds.\n"
    )
    (ROOT / "benchmarks" / "results" / "relate-intervals.md").write_text(text)


if __name__ == "__main__":
    main()
