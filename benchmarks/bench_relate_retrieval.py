"""Does the interval of finding reports by images hold its level? Simulated studies.

    python benchmarks/bench_relate_retrieval.py [--studies 150]

Patients of three sites of unequal size, six features that sites shift, reports of twelve made words
that are affirmed or denied by what features show, with a strength: 0 is the null. What an interval
must hold is the mean effect of all studies of its line. Writes
benchmarks/results/relate-retrieval.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.one_column import Tested
from histoprompt.pipelines.relate.retrieval import WAYS, retrieved
from histoprompt.pipelines.relate.study import Study

ROOT = Path(__file__).resolve().parents[1]
SHARES = (0.5, 0.3, 0.2)
FEATURES, HIDDEN, SHIFT = 6, 2, 1.5
WORDS = ("necrosis", "mitoses", "lymphocytes", "fibrosis", "mucin", "oedema", "haemorrhage",
         "invasion", "calcification", "atypia", "keratin", "melanin")  # fmt: skip
# Enough for the spread of chance that the interval takes in; the command makes ten times as many.
PERMUTATIONS = 100


@dataclass(frozen=True)
class Made:
    """What studies of a line are like.

    Attributes
    ----------
    patients : int
    strength : float
        How far words follow what features show too, in log odds per standard deviation.
    by_site : bool
        Whether each site writes of other things.
    """

    patients: int
    strength: float
    by_site: bool = False


def made_study(made: Made, seed: int) -> tuple[Study, list[str]]:
    """Features and reports of patients."""
    fixed = np.random.default_rng(5)  # what is the same in all studies
    to_features = fixed.normal(size=(HIDDEN, FEATURES))
    to_words = fixed.normal(size=(HIDDEN, len(WORDS)))
    habits = 1.5 * fixed.normal(size=(len(SHARES), len(WORDS)))
    rng = np.random.default_rng([seed, made.patients])
    n = made.patients
    site = rng.choice(len(SHARES), n, p=SHARES)
    hidden = rng.normal(size=(n, HIDDEN))
    x = hidden @ to_features + rng.normal(size=(n, FEATURES))
    x += SHIFT * rng.normal(size=(len(SHARES), FEATURES))[site]
    level = made.strength * hidden @ to_words + made.by_site * habits[site]
    there = rng.logistic(size=level.shape) < level
    told = rng.random(level.shape) < 0.8
    texts = [
        ". ".join(word if yes else f"No {word}" for word, yes, said in
                  zip(WORDS, there[i], told[i], strict=True) if said)
        for i in range(n)
    ]  # fmt: skip
    used, at = np.unique(site, return_inverse=True)
    study = Study(
        tuple(f"P{i}" for i in range(n)), tuple((f"P{i}",) for i in range(n)),
        at.astype(np.intp), tuple("ABC"[s] for s in used), np.zeros(n, np.intp), ("",),
        tuple(f"f{j}" for j in range(FEATURES)), x,
    )  # fmt: skip
    return study, texts


def judged(made: Made, seed: int) -> tuple[Tested, ...]:
    """Both directions of one study."""
    study, texts = made_study(made, seed)
    found = retrieved(
        study, texts, blocks=study.site, folds=5, permutations=PERMUTATIONS, seed=seed,
        task=Task(), least=PERMUTATIONS,
    )  # fmt: skip
    assert found is not None
    return found.tested


def lines(studies: int, patients: list[int]) -> Iterator[str]:
    """A line per kind of study and direction."""
    asked = [Made(n, s) for n in patients for s in (0.0, 1.0, 3.0)]
    asked += [Made(n, 0.0, by_site=True) for n in patients if n < 100]
    for made in asked:
        some = studies if made.patients < 100 else studies // 2
        done = [judged(made, seed) for seed in range(some)]
        for d, way in enumerate(WAYS):
            effects = np.array([one[d].effect for one in done])
            low, high = (np.array([getattr(o[d], e) for o in done]) for e in ("low", "high"))
            true = effects.mean()
            held = float(((low <= true) & (true <= high)).mean())
            sites = "yes" if made.by_site else "no"
            line = (str(made.patients), f"{made.strength:g}", sites, way, str(some),
                    f"{true:+.2f} ± {effects.std():.2f}", f"{(high - low).mean() / 2:.2f}",
                    f"{held:.1%}", f"{(low > true).mean():.1%}", f"{(high < true).mean():.1%}",
                    f"{np.mean([one[d].p <= 0.05 for one in done]):.1%}")  # fmt: skip
            print(*line, flush=True)
            yield f"| {' | '.join(line)} |"


def main() -> None:
    """Simulate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=150)
    parser.add_argument("--patients", type=int, nargs="+", default=[24, 60, 150])
    args = parser.parse_args()
    start = time.process_time()
    found = list(lines(args.studies, args.patients))
    error = 1.96 * np.sqrt(0.05 * 0.95 / args.studies)
    text = (
        "# Relating: the interval of retrieval\n\n"
        f"`python benchmarks/bench_relate_retrieval.py --studies {args.studies}`: patients of "
        f"three sites (50, 30, 20 %), {FEATURES} features that sites shift by {SHIFT:g} standard "
        f"deviations, reports of {len(WORDS)} made words, affirmed or denied by what features "
        "show, with a strength in log odds (0 is the null); *habits*: each site writes of other "
        "things. The effect is 1 less twice the mean rank. An interval must hold the mean effect "
        f"of all studies of its line in 95 of 100; Monte-Carlo error ±{error:.1%} (half as many "
        "studies of 150 patients). *Above*, *below*: the interval lies above or below it.\n\n"
        "| patients | strength | habits | way | studies | effect, mean ± spread | half an interval "
        "| holds it | above | below | p ≤ 0.05 |\n"
        "|---:|---:|---|---|---:|---:|---:|---:|---:|---:|---:|\n"
        + "\n".join(found)
        + f"\n\n{time.process_time() - start:.0f} CPU seconds.\n"
    )
    (ROOT / "benchmarks" / "results" / "relate-retrieval.md").write_text(text)


if __name__ == "__main__":
    main()
