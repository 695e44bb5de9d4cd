"""Do the intervals of audited counts cover what they say? Simulated slides, thousands of audits.

    python benchmarks/bench_interval.py [--slides 1500]

Slides as in `tests/simulated_slides.py`: 100 to 400 fields, clustered cells, misses and false
positives that vary between regions. Writes benchmarks/results/interval.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.audit import FEW_CELLS, AuditPlan, chances, corrected_counts, draw

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
from simulated_slides import Tissue, simulate  # noqa: E402

TISSUES = {
    "dense": Tissue(40, 0.6, 0.15, 0.1),
    "sparse": Tissue(8, 0.9, 0.2, 0.1),
    "strongly clustered": Tissue(25, 1.3, 0.2, 0.15),
    "good segmenter": Tissue(30, 0.6, 0.03, 0.02),
    "bad segmenter": Tissue(30, 0.8, 0.4, 0.4),
    "rare cells": Tissue(1, 1.2, 0.2, 0.2),
    "very rare cells": Tissue(0.2, 1.0, 0.2, 0.2),
    "very rare, mostly missed": Tissue(0.2, 1.0, 0.6, 0.1),
}
FIELDS = (5, 8, 15, 30)


@dataclass(frozen=True)
class Audits:
    """What came of many audits: whether the truth was covered, and how widely; (slides,) each."""

    covered: NDArray[np.bool_]
    cautious: NDArray[np.bool_]
    width: NDArray[np.float64]
    bias: float

    def __str__(self) -> str:
        said = [f"{self.covered.mean():.1%} (±{np.median(self.width) / 2:.0%}, {self.bias:+.1%})"]
        for name, part in (("of others", ~self.cautious), ("cautious", self.cautious)):
            if self.cautious.mean() > 0.02 and part.mean() > 0.02:
                said.append(f"{name}: {self.covered[part].mean():.1%} of {part.mean():.0%}")
        return "<br>".join(said)


def audits(tissue: Tissue, fields: int, slides: int) -> Audits:
    """Audit slides of this tissue, each once."""
    rng = np.random.default_rng(fields)
    seen, truth = [], []
    for _ in range(slides):
        true, found = simulate(tissue, rng)
        chance = chances(found + max(0.5, found.mean()), fields)
        chosen = draw(chance, rng)
        counts = np.stack([found, np.zeros_like(found)], axis=1)
        plan = AuditPlan((), ("cell",), counts, chosen, chance[chosen])
        seen += corrected_counts(plan, true[chosen][:, None])
        truth.append(true.sum())
    ends = np.array([(count.low, count.high) for count in seen])
    total = np.array(truth)
    return Audits(
        (ends[:, 0] <= total) & (total <= ends[:, 1]),
        np.array([bool(count.note) for count in seen]),
        (ends[:, 1] - ends[:, 0]) / np.maximum(1, total),
        sum(count.estimate for count in seen) / total.sum() - 1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=1500)
    args = parser.parse_args()
    heads = " | ".join(f"{n} fields" for n in FIELDS)
    lines = [f"| tissue | cells a field | missed / made up | {heads} |",
             "|---|---:|---:|" + "---:|" * len(FIELDS)]  # fmt: skip
    for name, tissue in TISSUES.items():
        row = [audits(tissue, n, args.slides) for n in FIELDS]
        cells = " | ".join(map(str, row))
        errors = f"{tissue.missed:.0%} / {tissue.made_up:.0%}"
        lines.append(f"| {name} | {tissue.mean:g} | {errors} | {cells} |")
        print(lines[-1], flush=True)
    text = (
        f"`python benchmarks/bench_interval.py`: share of {args.slides} simulated slides whose "
        "true count lies in the 95 % interval (standard error "
        f"{100 * np.sqrt(0.95 * 0.05 / args.slides):.1f} %); in brackets half its median width "
        "over the true count, and the bias of the corrected count. Aim: 93 to 97 %. Audits that "
        f"saw fewer than {FEW_CELLS} cells say that their interval is cautious, which is why these "
        "cover more; where some did, both kinds are given apart."
    )
    out = "# Intervals\n\n" + text + "\n\n" + "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "results" / "interval.md").write_text(out)


if __name__ == "__main__":
    main()
