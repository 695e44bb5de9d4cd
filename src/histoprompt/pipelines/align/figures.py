"""What a vocabulary is worth: on patients held out, on words, beside chance and a plain model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.models.zoo.aligned_file import Adapter
from histoprompt.pipelines.align.judge import MATCH, mean_of, recalls, word_auroc
from histoprompt.pipelines.align.maps import Fit, ImageFeatures, ridge, scores
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.shuffling import folds_of, shuffled
from histoprompt.pipelines.align.texts import SentenceVectors

Double = NDArray[np.float64]
Int = NDArray[np.int64]
Figures = dict[str, float]

HELD_OUT, SEEN, P = "auroc held-out words", "auroc seen words", "p of match"
# Shuffles of a network, and shuffles in which words are asked for: each is many fits.
_FEW: Final = 19
_SCALES: Final = np.geomspace(2, 200, 25)


@dataclass(frozen=True)
class AlignRow:
    """A line of ``align.csv``; NaN where there is nothing to tell."""

    split: str
    measure: str
    value: float
    plain: float
    shuffled: float


@dataclass(frozen=True, eq=False)
class Data:
    """Pairs as numbers.

    Attributes
    ----------
    images : (n, d) float64
    texts : SentenceVectors
    patients, sites : (n,) int64
    plain : (n, n) float64
        Cosines of images with sentences by the plain model.
    plain_words : (n, w) float64
    site_names : tuple of str
        Empty where sites are not known.
    """

    images: Double
    texts: SentenceVectors
    patients: Int
    sites: Int
    plain: Double
    plain_words: Double
    site_names: tuple[str, ...] = ()
    _halves: dict[bytes, ImageFeatures] = field(default_factory=dict)

    def half(self, rows: Int) -> ImageFeatures:
        """Images that are learnt from, made ready once however often texts are shuffled."""
        key = rows.tobytes()
        if key not in self._halves:
            self._halves[key] = ImageFeatures(self.images[rows], self.patients[rows])
        return self._halves[key]


def judged(
    data: Data, fit: Fit | None, params: AlignParams, task: Task, *, slow: bool = False
) -> tuple[tuple[AlignRow, ...], float]:
    """All figures, and how often shuffled pairs match as well."""
    folds = folds_of(data.patients, params.folds)
    n = len(data.images)
    same = np.arange(n)
    count = min(params.shuffles, _FEW) if slow else params.shuffles
    orders = shuffled(data.patients, count)
    found = _figures(data, same, folds, fit)
    chance: list[list[Figures]] = []
    for done, order in enumerate(orders):
        task.step(done, len(orders), "Shuffling pairs")
        chance.append(_figures(data, order, folds, fit))
    value = mean_of(found)
    null = np.array([mean_of(one).get(MATCH, np.nan) for one in chance])
    p = float("nan")
    if math.isfinite(value.get(MATCH, math.nan)):
        null = np.where(np.isfinite(null), null, 0.5)
        p = float((1 + (null >= value[MATCH] - 1e-12).sum()) / (1 + len(null)))
    lines = _lines(
        "patients",
        value,
        mean_of(_plain(data, folds)),
        mean_of([fold for one in chance for fold in one]),
    )
    lines += _words(data, orders[:_FEW], folds, fit)
    lines.append(AlignRow("patients", P, p, math.nan, math.nan))
    for number, one in enumerate(found, start=1):
        held = [row[number - 1] for row in chance]
        lines += _lines(f"fold {number}", one, _plain(data, folds)[number - 1], mean_of(held))
    lines += _site_lines(data, orders[:_FEW], fit)
    return tuple(lines), p


def _figures(data: Data, order: Int, folds: Sequence[Int], fit: Fit | None) -> list[Figures]:
    """Figures of each fold, with the sentences of pairs in another order."""
    texts, said = data.texts.vectors[order], data.texts.said[order]
    out = []
    for test in folds:
        train = np.setdiff1d(np.arange(len(order)), test)
        adapter = fitted(data, train, texts[train], fit)
        out.append(recalls(scores(adapter, data.images[test], texts[test]), said[test]))
    return out


def fitted(data: Data, rows: Int, texts: Double, fit: Fit | None) -> Adapter:
    """What maps images and texts of some rows: ridge regression where nothing else is given."""
    if fit is None:
        return ridge(data.half(rows), texts)
    return fit(data.images[rows], texts)


def _plain(data: Data, folds: Sequence[Int]) -> list[Figures]:
    return [recalls(data.plain[np.ix_(test, test)], data.texts.said[test]) for test in folds]


def _words(
    data: Data, orders: Sequence[Int], folds: Sequence[Int], fit: Fit | None
) -> list[AlignRow]:
    """Whether a word alone tells places: of words that were learnt, and of words that were not."""
    same, lines = np.arange(len(data.images)), []
    for measure, held in ((HELD_OUT, True), (SEEN, False)):
        if held and data.texts.tfidf is not None:
            lines.append(AlignRow("patients", measure, *[math.nan] * 3))  # it knows no other words
            continue
        value = _word_figure(data, same, folds, (fit, held))
        chance = [_word_figure(data, order, folds, (fit, held)) for order in orders]
        plain = _mean([
            word_auroc(data.plain_words[test, w], data.texts.holds[test, w])
            for test in folds for w in range(len(data.texts.words))
        ])  # fmt: skip
        lines.append(AlignRow("patients", measure, value, plain, _mean(chance)))
    return lines


def _word_figure(
    data: Data, order: Int, folds: Sequence[Int], how: tuple[Fit | None, bool]
) -> float:
    fit, held = how
    if not data.texts.words:
        return math.nan
    texts, holds = data.texts.vectors[order], data.texts.holds[order]
    found = []
    for test in folds:
        train = np.setdiff1d(np.arange(len(order)), test)
        shared = None if held else fitted(data, train, texts[train], fit)
        for w in range(len(data.texts.words)):
            rows = train[~holds[train, w]] if held else train
            if len(rows) < 2 or len(np.unique(holds[test, w])) < 2:
                continue
            adapter = shared or fitted(data, rows, texts[rows], fit)
            values = scores(adapter, data.images[test], data.texts.word_vectors[[w]])[:, 0]
            found.append(word_auroc(values, holds[test, w]))
    return _mean(found)


def _site_lines(data: Data, orders: Sequence[Int], fit: Fit | None) -> list[AlignRow]:
    """Each site by what was learnt from the others."""
    lines: list[AlignRow] = []
    for number, site in enumerate(data.site_names):
        test = np.flatnonzero(data.sites == number)
        value = _figures(data, np.arange(len(data.sites)), [test], fit)[0]
        chance = [_figures(data, order, [test], fit)[0] for order in orders]
        lines += _lines(f"site {site}", value, _plain(data, [test])[0], mean_of(chance))
    return lines


def best_scale(data: Data, folds: Sequence[Int], fit: Fit | None) -> float:
    """What cosines are multiplied by, so that held-out pairs are likeliest among all sentences."""
    _, first, of = np.unique(data.texts.said, return_index=True, return_inverse=True)
    likelihood = np.zeros(len(_SCALES))
    for test in folds:
        train = np.setdiff1d(np.arange(len(of)), test)
        adapter = fitted(data, train, data.texts.vectors[train], fit)
        cosines = scores(adapter, data.images[test], data.texts.vectors[first])
        for i, scale in enumerate(_SCALES):
            logits = scale * cosines
            logits -= logits.max(axis=1, keepdims=True)
            logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            likelihood[i] += logs[np.arange(len(test)), of[test]].sum()
    return float(_SCALES[int(likelihood.argmax())])


def _lines(split: str, value: Figures, plain: Figures, chance: Figures) -> list[AlignRow]:
    nan = math.nan
    return [
        AlignRow(split, name, figure, plain.get(name, nan), chance.get(name, nan))
        for name, figure in value.items()
    ]


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return float(np.mean(known)) if known else math.nan
