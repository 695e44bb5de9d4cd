"""Reports found by images and images by reports, for patients that were not learnt from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.relate.columns import PatientColumn
from histoprompt.pipelines.relate.concordance import OF_MODELS, Z
from histoprompt.pipelines.relate.cross_validation import cross_validated, kernel_of
from histoprompt.pipelines.relate.folds import folds_of
from histoprompt.pipelines.relate.guard import standardised
from histoprompt.pipelines.relate.negation import marked_words, pattern_of, said
from histoprompt.pipelines.relate.one_column import Tested
from histoprompt.pipelines.relate.params import FEWEST
from histoprompt.pipelines.relate.permute import centred, shuffles
from histoprompt.pipelines.relate.report_vectors import STOP, by_sentences, by_words
from histoprompt.pipelines.relate.ridge import ridge
from histoprompt.pipelines.relate.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

REPORTS = "reports"
WAYS = ("image to report", "report to image")
# By what reports are compared, as a test is named.
BY = {"words": "retrieval", "sentences": "retrieval by sentences"}
# How many patients have a word that is looked at by itself.
_RARE, _COMMON = 0.15, 0.85
_AT_ONCE, LEAST = 100, 1000


@dataclass(frozen=True)
class Retrieval:
    """How well reports and images of the same patient find each other.

    Attributes
    ----------
    tested : tuple of Tested
        Both directions, as lines of ``relate.csv``: 1 less twice the mean rank of the right one
        among the patients of the site (0 first, 1 last); 0 is chance, 1 is always first.
    by : str
        words or sentences.
    recall : tuple of (int, float, float)
        k, the share of patients whose report is among the first k, and the same of chance.
    patients : tuple of int
        Rows of the study.
    """

    tested: tuple[Tested, ...]
    by: str
    recall: tuple[tuple[int, float, float], ...]
    patients: tuple[int, ...]


def retrieved(
    study: Study, texts: Sequence[str], *, blocks: Ints, folds: int, permutations: int, seed: int,
    task: Task, by: str = "words", least: int = LEAST,
) -> Retrieval | None:  # fmt: skip
    """Find reports by images and images by reports, among patients of the same site.

    Parameters
    ----------
    study : Study
    texts : sequence of str
        Of each patient; those without are left out.
    blocks : (patients,) int
        In which reports change places for the null.
    folds : int
    permutations : int
    seed : int
    task : Task
    by : {"words", "sentences"}
    least : int
        So many permutations are made in any case.

    Raises
    ------
    StudyError
        If sentences are asked for and their encoder is not installed.

    Returns
    -------
    Retrieval or None
        None below 20 patients with reports, or where all reports say the same.
    """
    rows = np.array([i for i, t in enumerate(texts) if t], np.intp)
    if len(rows) < FEWEST:
        return None
    known = [texts[i] for i in rows]
    vectors = by_words(known) if by == "words" else by_sentences(known, task)
    sites = study.site[rows]
    spread = centred(vectors, sites)
    if not vectors.shape[1] or np.abs(spread).max() < 1e-9:
        return None
    rng = np.random.default_rng([seed, 11])
    kernel = kernel_of(standardised(study)[rows], sites)
    several = len(np.unique(sites)) > 1
    ways = [folds_of(sites, folds, rng), *([sites] if several else [])]
    own = np.arange(len(rows))[None]
    seen = [_ranks(kernel, spread, sites, way, own)[:, 0] for way in ways]
    many = max(least, permutations)
    drawn: list[list[Floats]] = [[] for _ in ways]
    for done in range(0, many, _AT_ONCE):
        task.step(done, many, "Permuting reports", "permutation")
        order = shuffles(blocks[rows], min(_AT_ONCE, many - done), rng)
        for way, kept in zip(ways, drawn, strict=True):
            kept.append(_ranks(kernel, spread, sites, way, order).mean(axis=2))
    task.step(many, many, "Permuting reports", "permutation")
    null = [np.concatenate(kept, axis=1) for kept in drawn]
    tested = []
    for d, direction in enumerate(WAYS):
        left = {}
        if several:
            apart = float(seen[1][d].mean())
            left = {"left out": (1 - 2 * apart, _p(null[1][d], apart))}
        ends = _interval(seen[0][d], sites, float(null[0][d].std()), rng)
        said = ends, _p(null[0][d], float(seen[0][d].mean())), many
        line = _line(study, f"{BY[by]}, {direction}", sites, seen[0][d], said)
        tested.append(replace(line, left_out=left))
    return Retrieval(tuple(tested), by, _recall(seen[0][0], sites), tuple(rows.tolist()))


def _line(
    study: Study, name: str, sites: Ints, ranks: Floats,
    said: tuple[tuple[float, float], float, int],
) -> Tested:  # fmt: skip
    """One direction of finding: `said` is its interval, p, and the permutations made."""
    (low, high), p, many = said
    effect, there = 1 - 2 * float(ranks.mean()), np.unique(sites)
    return Tested(
        "(all features)", REPORTS, name, len(sites), len(there),
        tuple(study.sites[s] for s in there), effect, min(low, effect), max(high, effect),
        p, many, {}, True, transfer=True,
    )  # fmt: skip


def _ranks(kernel: Floats, vectors: Floats, sites: Ints, folds: Ints, order: Ints) -> Floats:
    """Ranks of the right one in [0, 1]: (2 directions, orders, n)."""
    k, n = order.shape
    width = vectors.shape[1]
    outcomes = vectors[order].transpose(1, 0, 2).reshape(n, k * width)
    made = cross_validated(kernel, outcomes, sites, folds, ridge).reshape(n, k, width)
    out = np.full((2, k, n), 0.5)
    for i in range(k):
        predicted, true = made[:, i], vectors[order[i]]
        for site in np.unique(sites):
            rows = np.flatnonzero(sites == site)
            if len(rows) < 2:
                continue
            like = _cosines(predicted[rows], true[rows])
            right = np.diag(like)
            for d, (table, of) in enumerate(((like, right[:, None]), (like.T, right[:, None]))):
                above = (table > of + 1e-12).sum(axis=1)
                same = (np.abs(table - of) <= 1e-12).sum(axis=1) - 1
                out[d, i, rows] = (above + same / 2) / (len(rows) - 1)
    return out


def _cosines(one: Floats, other: Floats) -> Floats:
    lengths = [np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (one, other)]
    return np.asarray((one / lengths[0]) @ (other / lengths[1]).T)


def _p(null: Floats, seen: float) -> float:
    return float((1 + (null <= seen + 1e-12).sum()) / (1 + len(null)))


def _interval(
    ranks: Floats, sites: Ints, chance: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Of patients drawn again, wider by what other models would do, as of the concordance.

    `chance` is the standard deviation of the mean rank where reports are permuted. Patients drawn
    again from a site of few vary less than other patients would, by one over their number.
    """
    sizes = np.bincount(sites)[np.unique(sites)].astype(float)
    few = float(np.sqrt((sizes**2 / np.maximum(sizes - 1, 1)).sum() / sizes.sum()))
    drawn = []
    for _ in range(500):
        rows = np.concatenate([rng.choice(np.flatnonzero(sites == s), int((sites == s).sum()))
                               for s in np.unique(sites)])  # fmt: skip
        drawn.append(1 - 2 * ranks[rows].mean())
    effect, more = 1 - 2 * ranks.mean(), Z * np.sqrt(OF_MODELS) * 2 * chance
    ends = (few * (np.quantile(drawn, q) - effect) for q in (0.025, 0.975))
    low, high = (np.hypot(end, more) for end in ends)
    return max(float(effect - low), -1.0), min(float(effect + high), 1.0)


def _recall(ranks: Floats, sites: Ints) -> tuple[tuple[int, float, float], ...]:
    others = np.array([(sites == s).sum() - 1 for s in sites])
    place = np.round(ranks * others)
    return tuple(
        (k, float((place < k).mean()), float(np.minimum(k / (others + 1), 1).mean()))
        for k in (1, 5)
    )


def word_columns(texts: Sequence[str], most: int) -> tuple[PatientColumn, ...]:
    """The words that neither few nor nearly all reports affirm, as columns of yes and no.

    Parameters
    ----------
    texts : sequence of str
        Of patients; empty where there is no report.
    most : int
        How many words, those nearest to half of the patients first.
    """
    known = [i for i, t in enumerate(texts) if t]
    if not known or most < 1:
        return ()
    counts: dict[str, int] = {}
    for i in known:
        for word in {w for w in marked_words(texts[i]) if w not in STOP and len(w) > 3}:
            counts[word.removeprefix("no_")] = counts.get(word.removeprefix("no_"), 0) + 1
    found = []
    for word in sorted(counts, key=lambda w: (-counts[w], w))[:200]:
        pattern = [pattern_of(re.sub(r"[*/]", "", word))]
        values = np.full(len(texts), np.nan)
        values[known] = [float(said(texts[i], pattern) is True) for i in known]
        share = float(np.nanmean(values))
        if _RARE <= share <= _COMMON:
            found.append((abs(share - 0.5), word, values))
    found.sort(key=lambda f: (f[0], f[1]))
    return tuple(
        PatientColumn(f"word: {w}", "binary", v, ("no", "yes")) for _, w, v in found[:most]
    )
