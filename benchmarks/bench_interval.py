"""Do the intervals of audited counts cover what they say? Simulated slides, thousands of audits.

    python benchmarks/bench_interval.py [--slides 4000]

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

from histoprompt.pipelines.audit.estimate import FEW_CELLS

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
from simulated_slides import Tissue, audited, gone_on, planned, simulate  # noqa: E402

TISSUES = {
    "dense": Tissue(40, 0.6, 0.15, 0.1),
    "sparse": Tissue(8, 0.9, 0.2, 0.1),
    "strongly clustered": Tissue(25, 1.3, 0.2, 0.15),
    "good segmenter": Tissue(30, 0.6, 0.03, 0.02),
    "bad segmenter": Tissue(30, 0.8, 0.4, 0.4),
    "rare cells": Tissue(1, 1.2, 0.2, 0.2),
    "very rare cells": Tissue(0.2, 1.0, 0.2, 0.2),
    "very rare, mostly missed": Tissue(0.2, 1.0, 0.6, 0.1),
    "rare, mostly missed": Tissue(1, 1.0, 0.6, 0.1),
}
FIELDS = (5, 8, 15, 30)


@dataclass(frozen=True)
class Audits:
    """What came of many audits that began with so many fields; (slides,) each.

    Attributes
    ----------
    fields : audited in the end
    covered : whether the interval holds the truth
    width : half the interval over the truth
    early : whether the interval held the truth when the first fields were done
    few : whether that interval was a cautious one
    bias : of the corrected counts of the end
    """

    fields: NDArray[np.int64]
    covered: NDArray[np.bool_]
    width: NDArray[np.float64]
    early: NDArray[np.bool_]
    few: NDArray[np.bool_]
    bias: float

    def __str__(self) -> str:
        said = f"{self.covered.mean():.1%} (±{np.median(self.width):.0%}, {self.bias:+.1%})"
        if self.few.mean() < 0.02:
            return said
        return (
            f"{said}<br>{np.median(self.fields):.0f} fields<br>"
            f"stopped: {self.early[self.few].mean():.1%} of {self.few.mean():.0%}"
        )


def audits(tissue: Tissue, fields: int, slides: int) -> Audits:
    """Audit slides of this tissue, each once, and go on while the interval is a cautious one."""
    rng = np.random.default_rng(100 + fields)
    ends, total, early, few = [], [], [], []
    for _ in range(slides):
        true, found = simulate(tissue, rng)
        plan = planned(found, fields, rng)
        first = audited(plan, true)
        total.append(true.sum())
        ends.append(gone_on(plan, true))
        early.append(first.low <= true.sum() <= first.high)
        few.append(first.more > 0)
    truth = np.array(total)
    low, high, estimate = np.array([(c.low, c.high, c.estimate) for c in ends]).T
    return Audits(
        np.array([c.fields for c in ends]),
        (low <= truth) & (truth <= high),
        (high - low) / 2 / np.maximum(1, truth),
        np.array(early),
        np.array(few),
        estimate.sum() / truth.sum() - 1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=4000)
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
        "over the true count, and the bias of the corrected count. Aim: 93 to 97 %. Audits begin "
        f"with as many fields as the head says; those that met fewer than {FEW_CELLS} cells go on, "
        "as the program asks (at most doubled at a time), until they did: median number of fields "
        "then. *Stopped*: how often the interval of such audits holds the truth if they do not go "
        "on; the program calls it cautious."
    )
    out = "# Intervals\n\n" + text + "\n\n" + "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "results" / "interval.md").write_text(out)


if __name__ == "__main__":
    main()
