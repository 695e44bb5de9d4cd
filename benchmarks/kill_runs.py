"""Kill the workers and the scheduler of runs at random, go on, and compare with a serial run.

    python benchmarks/kill_runs.py [--kills 50] [--seed 1] [--out benchmarks/results/kills.md]

A recipe (count, audit, export) runs on small slides in two processes of a local Dask cluster, with
the tiles of each slide in one block or several. At random moments a worker or the scheduler is
killed; after that of the scheduler the same command is given again. In one of three cases the run
is then left to end, its files are compared, byte for byte, with those of a run in one process that
nobody disturbed, and all begins anew.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

import killing  # noqa: E402

SLIDES, TO_THE_END = 2, 1 / 3
RECIPE = f"""format = 1

[[steps]]
step = "count"
[steps.params]
segmenter = "classical-cells"
tile = {killing.TILE}
region = {list(killing.REGION)}

[[steps]]
step = "audit"
[steps.params]
fields = 2
seed = 1

[[steps]]
step = "export"
[steps.params]
format = "geojson"
"""


@dataclass
class Outcome:
    """What came of it."""

    killed: killing.Killed = field(default_factory=killing.Killed)
    compared: int = 0
    equal: int = 0
    differ: list[str] = field(default_factory=list)


def trial(folder: Path, kills: int, seed: int) -> Outcome:
    """Kill so many processes, and compare every run that got to its end."""
    dice, found = random.Random(seed), Outcome()
    recipe, out = folder / "recipe.toml", folder / "out"
    recipe.write_text(RECIPE)
    slides = killing.make_slides(folder / "slides", SLIDES)
    start = time.monotonic()
    assert killing.finish(killing.command(recipe, slides, folder / "serial")) == 0
    longest = (time.monotonic() - start) / 2  # on a busy machine all takes longer
    expected = killing.digests(folder / "serial")
    while found.killed.workers + found.killed.schedulers < kills:
        more = ("--scheduler", "local:2", "--blocks", str(dice.choice((1, 3))))
        words = killing.command(recipe, slides, out, *more)
        killing.run_and_kill(words, out, dice, found.killed, longest)
        sys.stdout.write(f"{found.killed}\n")
        sys.stdout.flush()
        if dice.random() > TO_THE_END:
            continue
        _compare(found, words, expected, out)
    _compare(found, words, expected, out)
    return found


def _compare(found: Outcome, words: list[str], expected: dict[str, str], out: Path) -> None:
    """End a run that was disturbed, and look at its files."""
    status = killing.finish(words)
    there = killing.digests(out)
    found.compared += 1
    if status == 0 and there == expected:
        found.equal += 1
    else:
        names = sorted(n for n in {*there, *expected} if there.get(n) != expected.get(n))
        found.differ.append(f"exit {status}: {', '.join(names[:5]) or 'no file'}")
    shutil.rmtree(out)


def main() -> int:
    """Print the outcome and write the page; 1 if any file differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = trial(Path(folder), args.kills, args.seed)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() - start + spent.ru_utime + spent.ru_stime
    differ = "; ".join(found.differ)
    page = f"""# Killed runs

Workers and schedulers of runs were killed at random moments, and the same command was given again.
Made by `python benchmarks/kill_runs.py --kills {args.kills} --seed {args.seed}`: {SLIDES} small
slides, counted, audited and exported by two processes, each slide in one block or three.

| what | number |
| --- | --- |
| workers killed | {found.killed.workers} |
| schedulers killed | {found.killed.schedulers} |
| runs that were begun | {found.killed.runs} |
| runs compared with an undisturbed one | {found.compared} |
| of these equal in every byte of every file of results | {found.equal} |

It took {cpu / 60:.0f} minutes of one core, without what killed processes used. {differ}
"""
    sys.stdout.write(page)
    if args.out:
        args.out.write_text(page.rstrip() + "\n", encoding="utf-8")
    return int(bool(found.differ))


if __name__ == "__main__":
    sys.exit(main())
