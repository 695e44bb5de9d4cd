"""Pairs in; a vocabulary out if it finds more than shuffled pairs do."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.tables import table_writer
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.zoo.aligned import Adapter, Head, write_aligned
from histoprompt.pipelines.align.judge import MATCH, mean_of, recalls, word_auroc
from histoprompt.pipelines.align.looking import Opener, features_of_pairs
from histoprompt.pipelines.align.maps import CCA, CLOSED, RIDGE, Fit, Half, cca, ridge, scores
from histoprompt.pipelines.align.pairs import Pair
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.plain import plain_card, plain_texts
from histoprompt.pipelines.align.shuffling import folds_of, shuffled
from histoprompt.pipelines.align.texts import Texts, texts_of

Double = NDArray[np.float64]
Int = NDArray[np.int64]
Figures = dict[str, float]

ALIGN_CSV: Final = "align.csv"
# How often chance may do as well for a vocabulary to be kept.
LEVEL: Final = 0.05
HELD_OUT, SEEN, P = "auroc held-out words", "auroc seen words", "p of match"
# Shuffles of a network, and shuffles in which words are asked for: each is many fits.
_FEW: Final = 19
_SCALES: Final = np.geomspace(2, 200, 25)
_COLUMNS: Final = ("split", "measure", "value", "plain", "shuffled")


@dataclass(frozen=True)
class Line:
    """A line of ``align.csv``; NaN where there is nothing to tell."""

    split: str
    measure: str
    value: float
    plain: float
    shuffled: float


@dataclass(frozen=True, eq=False)
class Aligned:
    """What came of aligning.

    Attributes
    ----------
    out : Path
    lines : tuple of Line
    p : float
        How often shuffled pairs do as well.
    pairs, patients : int
    method : str
    plain : str
        The model it was compared with.
    """

    out: Path
    lines: tuple[Line, ...]
    p: float
    pairs: int
    patients: int
    method: str
    plain: str

    @property
    def told(self) -> list[str]:
        """What a person is told, a line each."""
        first = (
            f"{self.pairs} pairs of {self.patients} patients by {self.method}; p = {self.p:.3f} "
            "against shuffled pairs"
        )
        rows = [line for line in self.lines if line.split == "patients" and line.measure != P]
        return [
            first,
            *(
                f"{line.measure}: {line.value:.3f}, {self.plain} {line.plain:.3f}, shuffled "
                f"{line.shuffled:.3f}"
                for line in rows
                if not math.isnan(line.value)
            ),
        ]


@dataclass(frozen=True, eq=False)
class Data:
    """Pairs as numbers.

    Attributes
    ----------
    images : (n, d) float64
    texts : Texts
    patients, sites : (n,) int64
    plain : (n, n) float64
        Cosines of images with sentences by the plain model.
    plain_words : (n, w) float64
    site_names : tuple of str
        Empty where sites are not known.
    """

    images: Double
    texts: Texts
    patients: Int
    sites: Int
    plain: Double
    plain_words: Double
    site_names: tuple[str, ...] = ()
    _halves: dict[bytes, Half] = field(default_factory=dict)

    def half(self, rows: Int) -> Half:
        """Images that are learnt from, made ready once however often texts are shuffled."""
        key = rows.tobytes()
        if key not in self._halves:
            self._halves[key] = Half(self.images[rows], self.patients[rows])
        return self._halves[key]


def align(
    pairs: Sequence[Pair],
    params: AlignParams,
    out: Path,
    *,
    opened: Opener,
    manager: ModelManager,
    task: Task,
    network: Fit | None = None,
) -> Aligned:
    """Make a vocabulary of pairs, and keep it if it finds more than chance does.

    Parameters
    ----------
    pairs : sequence of Pair
    params : AlignParams
    out : Path
        The vocabulary's file; ``align.csv`` is written beside it in any case.
    opened : callable
        Opens the slide of a pair.
    manager : ModelManager
    task : Task
    network : callable, optional
        What fits a network of two layers, from `training`.

    Raises
    ------
    LabelError
        If shuffled pairs do as well: then there is no vocabulary.
    """
    card = registry.card(params.image)
    texts = texts_of(pairs, params.text, manager, task)
    images = features_of_pairs(pairs, card, opened, manager, task.part(0.0, 0.6))
    other = plain_card(params)
    seen = features_of_pairs(pairs, other, opened, manager, task.part(0.6, 0.8))
    said, asked = plain_texts(pairs, texts.words, other, manager, task)
    sites = sorted({pair.site for pair in pairs if pair.site})
    data = Data(
        np.asarray(images, np.float64), texts, _numbers([pair.patient for pair in pairs]),
        _numbers([pair.site for pair in pairs]), seen @ said.T, seen @ asked.T,
        tuple(sites) if all(pair.site for pair in pairs) and len(sites) > 1 else (),
    )  # fmt: skip
    method = params.method_for(len(pairs))
    fit = cca if method == CCA else network
    if fit is None and method != RIDGE:
        raise LabelError(f"{method} cannot be fitted here; choose ridge or cca.")
    lines, p = judged(data, fit, params, task.part(0.8, 1.0), slow=method not in CLOSED)
    done = Aligned(out, lines, p, len(pairs), len(np.unique(data.patients)), method, other.id)
    write_lines(out.parent / ALIGN_CSV, lines)
    if not p <= LEVEL:
        raise LabelError(_refusal(done))
    _write(out, data, (params, card, fit), [s for pair in pairs for s in pair.sentences], done)
    return done


def judged(
    data: Data, fit: Fit | None, params: AlignParams, task: Task, *, slow: bool = False
) -> tuple[tuple[Line, ...], float]:
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
    lines.append(Line("patients", P, p, math.nan, math.nan))
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
        adapter = _fitted(data, train, texts[train], fit)
        out.append(recalls(scores(adapter, data.images[test], texts[test]), said[test]))
    return out


def _fitted(data: Data, rows: Int, texts: Double, fit: Fit | None) -> Adapter:
    if fit is None:
        return ridge(data.half(rows), texts)
    return fit(data.images[rows], texts)


def _plain(data: Data, folds: Sequence[Int]) -> list[Figures]:
    return [recalls(data.plain[np.ix_(test, test)], data.texts.said[test]) for test in folds]


def _words(data: Data, orders: Sequence[Int], folds: Sequence[Int], fit: Fit | None) -> list[Line]:
    """Whether a word alone tells places: of words that were learnt, and of words that were not."""
    same, lines = np.arange(len(data.images)), []
    for measure, held in ((HELD_OUT, True), (SEEN, False)):
        if held and data.texts.tfidf is not None:
            lines.append(Line("patients", measure, *[math.nan] * 3))  # it knows no other words
            continue
        value = _word_figure(data, same, folds, (fit, held))
        chance = [_word_figure(data, order, folds, (fit, held)) for order in orders]
        plain = _mean([
            word_auroc(data.plain_words[test, w], data.texts.holds[test, w])
            for test in folds for w in range(len(data.texts.words))
        ])  # fmt: skip
        lines.append(Line("patients", measure, value, plain, _mean(chance)))
    return lines


def _word_figure(
    data: Data, order: Int, folds: Sequence[Int], how: tuple[Fit | None, bool]
) -> float:
    fit, held = how
    texts, holds = data.texts.vectors[order], data.texts.holds[order]
    found = []
    for test in folds:
        train = np.setdiff1d(np.arange(len(order)), test)
        shared = None if held else _fitted(data, train, texts[train], fit)
        for w in range(len(data.texts.words)):
            rows = train[~holds[train, w]] if held else train
            if len(rows) < 2 or len(np.unique(holds[test, w])) < 2:
                continue
            adapter = shared or _fitted(data, rows, texts[rows], fit)
            values = scores(adapter, data.images[test], data.texts.word_vectors[[w]])[:, 0]
            found.append(word_auroc(values, holds[test, w]))
    return _mean(found)


def _site_lines(data: Data, orders: Sequence[Int], fit: Fit | None) -> list[Line]:
    """Each site by what was learnt from the others."""
    lines: list[Line] = []
    for number, site in enumerate(data.site_names):
        test = np.flatnonzero(data.sites == number)
        value = _figures(data, np.arange(len(data.sites)), [test], fit)[0]
        chance = [_figures(data, order, [test], fit)[0] for order in orders]
        lines += _lines(f"site {site}", value, _plain(data, [test])[0], mean_of(chance))
    return lines


def _write(
    out: Path,
    data: Data,
    given: tuple[AlignParams, ModelCard, Fit | None],
    sentences: Sequence[str],
    done: Aligned,
) -> None:
    params, card, fit = given
    everyone = np.arange(len(data.images))
    adapter = _fitted(data, everyone, data.texts.vectors, fit)
    value = next(line for line in done.lines if line.measure == MATCH)
    head = Head(
        title=out.stem,
        image=card.id,
        text=params.text,
        logit_scale=_scale(data, folds_of(data.patients, params.folds), fit),
        words=list(data.texts.tfidf.words) if data.texts.tfidf else [],
        told=(
            f"{done.pairs} sentences of {done.patients} patients, {card.id} with {params.text}; a "
            f"right pair is nearer than a wrong one in {value.value:.0%}."
        ),
        pixels=card.input_size or 224,
        mpp=card.mpp,
    )
    write_aligned(out, head, data.texts.whole(adapter, sentences), data.texts.tfidf)


def _scale(data: Data, folds: Sequence[Int], fit: Fit | None) -> float:
    """What cosines are multiplied by, so that held-out pairs are likeliest among all sentences."""
    _, first, of = np.unique(data.texts.said, return_index=True, return_inverse=True)
    likelihood = np.zeros(len(_SCALES))
    for test in folds:
        train = np.setdiff1d(np.arange(len(of)), test)
        adapter = _fitted(data, train, data.texts.vectors[train], fit)
        cosines = scores(adapter, data.images[test], data.texts.vectors[first])
        for i, scale in enumerate(_SCALES):
            logits = scale * cosines
            logits -= logits.max(axis=1, keepdims=True)
            logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            likelihood[i] += logs[np.arange(len(test)), of[test]].sum()
    return float(_SCALES[int(likelihood.argmax())])


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write ``align.csv``; raises `ExportError`."""
    text = io.StringIO(newline="")
    write = table_writer(text, _COLUMNS, ("split",))
    for line in lines:
        figures = (line.value, line.plain, line.shuffled)
        write([line.split, line.measure, *("" if math.isnan(v) else f"{v:.4f}" for v in figures)])
    replace_file(path, text.getvalue())


def _lines(split: str, value: Figures, plain: Figures, chance: Figures) -> list[Line]:
    nan = math.nan
    return [
        Line(split, name, figure, plain.get(name, nan), chance.get(name, nan))
        for name, figure in value.items()
    ]


def _refusal(done: Aligned) -> str:
    if math.isnan(done.p):
        return (
            f"Of {done.pairs} pairs of {done.patients} patients no fold holds two sentences that "
            "differ, so that nothing can be told. Add patients or sentences. Nothing was saved but "
            f"{ALIGN_CSV}."
        )
    value = next(line for line in done.lines if line.measure == MATCH)
    return (
        f"The vocabulary finds no more than shuffled pairs do: a right pair is nearer than a wrong "
        f"one in {value.value:.1%}, of shuffled pairs in {value.shuffled:.1%} (p = {done.p:.2f}; "
        f"{LEVEL} is the most). It was not saved; {ALIGN_CSV} has the figures. More pairs, or more "
        "patients, may help."
    )


def _numbers(names: Sequence[str]) -> Int:
    return np.asarray(np.unique(np.array(names), return_inverse=True)[1], np.int64)


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return float(np.mean(known)) if known else math.nan
