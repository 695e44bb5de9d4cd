"""Do the intervals of audited counts cover what they say? Simulated slides, thousands of audits.

    python benchmarks/bench_interval.py [--slides 2000]

Slides as in `tests/simulated_slides.py`: 100 to 400 fields, clustered cells, misses and false
positives that vary between regions. Writes benchmarks/results/interval.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from histoprompt.pipelines.audit import AuditPlan, _chances, _draw, corrected_counts

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
from simulated_slides import Tissue, simulate

TISSUES = {
    "dense": Tissue(40, 0.6, 0.15, 0.1),
    "sparse": Tissue(8, 0.9, 0.2, 0.1),
    "strongly clustered": Tissue(25, 1.3, 0.2, 0.15),
    "good segmenter": Tissue(30, 0.6, 0.03, 0.02),
    "bad segmenter": Tissue(30, 0.8, 0.4, 0.4),
    "rare cells": Tissue(1, 1.2, 0.2, 0.2),
    "very rare cells": Tissue(0.2, 1.0, 0.2, 0.2),
}
FIELDS = (5, 8, 15, 30)


def audits(tissue: Tissue, fields: int, slides: int) -> tuple[float, float, float]:
    """Coverage, median width over the true count, and bias of the corrected count."""
    rng = np.random.default_rng(fields)
    hits, widths, truth, estimates = [], [], [], []
    for _ in range(slides):
        true, found = simulate(tissue, rng)
        chance = _chances(found + max(0.5, found.mean()), fields)
        chosen = _draw(chance, rng)
        counts = np.stack([found, np.zeros_like(found)], axis=1)
        plan = AuditPlan((), ("cell",), counts, chosen, chance[chosen])
        (count,) = corrected_counts(plan, true[chosen][:, None])
        hits.append(count.low <= true.sum() <= count.high)
        widths.append((count.high - count.low) / max(1, true.sum()))
        truth.append(true.sum())
        estimates.append(count.estimate)
    return float(np.mean(hits)), float(np.median(widths)), np.sum(estimates) / np.sum(truth) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=2000)
    args = parser.parse_args()
    heads = " | ".join(f"{n} fields" for n in FIELDS)
    lines = [f"| tissue | cells a field | missed / made up | {heads} |",
             "|---|---:|---:|" + "---:|" * len(FIELDS)]  # fmt: skip
    for name, tissue in TISSUES.items():
        row = [audits(tissue, n, args.slides) for n in FIELDS]
        cells = " | ".join(f"{c:.1%} (±{w / 2:.0%}, {b:+.1%})" for c, w, b in row)
        errors = f"{tissue.missed:.0%} / {tissue.made_up:.0%}"
        lines.append(f"| {name} | {tissue.mean:g} | {errors} | {cells} |")
        print(lines[-1], flush=True)
    text = (
        f"`python benchmarks/bench_interval.py`: share of {args.slides} simulated slides whose true "
        "count lies in the 95 % interval (standard error "
        f"{100 * np.sqrt(0.95 * 0.05 / args.slides):.1f} %); in brackets half its median width over "
        "the true count, and the bias of the corrected count. Aim: 93 to 97 %; the intervals of "
        "rare cells are wide on purpose."
    )
    out = "# Intervals\n\n" + text + "\n\n" + "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "results" / "interval.md").write_text(out)


if __name__ == "__main__":
    main()
