"""Make a small cohort with a clinical table and reports, from a seed alone.

Run ``python sample_data/make_cohort.py`` to write `cohort/` beside this script: 20 slides of 20
patients of two sites. More, for a real study's size, anywhere else:
``python sample_data/make_cohort.py --out DIR --patients 90 --sites 3 --slides 2``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from making import cohort

SEED = 11


def main(argv: Sequence[str] | None = None) -> None:
    """Run from a terminal."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parent / "cohort"
    parser.add_argument("--out", type=Path, default=here, metavar="DIR")
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--sites", type=int, default=2, choices=range(1, 9))
    parser.add_argument("--slides", type=int, default=1, help="of each patient")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(argv)
    cohort.write(args.out, args.seed, args.patients, args.sites, args.slides)


if __name__ == "__main__":
    main()
