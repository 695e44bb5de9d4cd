"""How long relating takes: 200 patients, 1,000 features, 1,000 permutations.

    python benchmarks/bench_relate.py [--patients 200] [--features 1000] [--permutations 1000]

The whole command, in a process of its own: reading the table, page one, every test, every site left
out, more permutations for small p, the model of all features with its null, report and tables.
Writes benchmarks/results/relate.md.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def write_study(folder: Path, patients: int, features: int) -> None:
    """A project of four sites, one slide per patient, three columns."""
    rng = np.random.default_rng(0)
    (folder / "project.toml").write_text('format = 1\nname = "bench"\n')
    site = np.arange(patients) % 4
    x = rng.normal(size=(patients, features)) + 1.5 * rng.normal(size=(4, features))[site]
    yes = rng.random(patients) < 0.2 + 0.2 * site
    x[:, :5] += yes[:, None]
    with (folder / "slides.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["id", "patient", "site", "response", "age", "months", "event"])
        for i in range(patients):
            time_of = rng.exponential(20)
            write.writerow(
                [
                    f"s{i}",
                    f"P{i}",
                    "ABCD"[site[i]],
                    "yes" if yes[i] else "no",
                    f"{rng.normal(60, 9):.1f}",
                    f"{time_of:.2f}",
                    int(rng.random() < 0.6),
                ]
            )
    with (folder / "features.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["slide", *(f"f{j}" for j in range(features))])
        for i in range(patients):
            write.writerow([f"s{i}", *(f"{v:.5f}" for v in x[i])])


def measured(args: argparse.Namespace, against: str, permutations: int) -> str:
    """A line of the table."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_study(folder, args.patients, args.features)
        command = [
            sys.executable, "-m", "histoprompt.cli", "relate", str(folder), "--features",
            str(folder / "features.csv"), "--against", against, "--permutations",
            str(permutations), "--out", str(folder / "out"),
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(against, permutations, f"{cpu:.1f} s CPU", after.ru_maxrss // 1024)
    return f"| {against} | {permutations:,} | {cpu:.1f} | {after.ru_maxrss // 1024} |"


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--permutations", type=int, default=1000)
    args = parser.parse_args()
    lines = [
        measured(args, "response", args.permutations),
        measured(args, "response,age,months:event", args.permutations),
        measured(args, "response", 10 * args.permutations),
    ]
    text = (
        "# Relating: time and memory\n\n"
        f"`python benchmarks/bench_relate.py`: {args.patients} patients of four sites, "
        f"{args.features:,} features, one thread of linear algebra. Aim: under 120 seconds of one "
        "CPU core, memory flat. The whole command in a process of its own; CPU seconds are those "
        "of user and system. Memory is the peak since the first line.\n\n"
        "| columns | permutations of every feature | CPU seconds | MiB at most |\n"
        "|---|---:|---:|---:|\n" + "\n".join(lines) + "\n"
    )
    (ROOT / "benchmarks" / "results" / "relate.md").write_text(text)


if __name__ == "__main__":
    main()
