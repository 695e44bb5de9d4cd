"""Pairs in; a vocabulary out if it finds more than shuffled pairs do."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
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
from histoprompt.models.zoo.aligned_file import AdapterHeader, write_aligned
from histoprompt.pipelines.align.figures import AlignRow, Data, P, best_scale, fitted, judged
from histoprompt.pipelines.align.judge import MATCH
from histoprompt.pipelines.align.looking import Opener, features_of_pairs
from histoprompt.pipelines.align.maps import CCA, CLOSED, RIDGE, Fit, cca
from histoprompt.pipelines.align.pairs import Pair
from histoprompt.pipelines.align.params import AlignParams
from histoprompt.pipelines.align.plain import plain_card, plain_texts
from histoprompt.pipelines.align.shuffling import folds_of
from histoprompt.pipelines.align.texts import texts_of

Int = NDArray[np.int64]

ALIGN_CSV: Final = "align.csv"
# How often chance may do as well for a vocabulary to be kept.
LEVEL: Final = 0.05
_COLUMNS: Final = ("split", "measure", "value", "plain", "shuffled")


@dataclass(frozen=True, eq=False)
class Aligned:
    """What came of aligning.

    Attributes
    ----------
    out : Path
    lines : tuple of AlignRow
    p : float
        How often shuffled pairs do as well.
    pairs, patients : int
    method : str
    plain : str
        The model it was compared with.
    """

    out: Path
    lines: tuple[AlignRow, ...]
    p: float
    pairs: int
    patients: int
    method: str
    plain: str

    @property
    def told(self) -> list[str]:
        """What a person is told, a line each."""
        first = (
            f"{self.pairs} pairs of {self.patients:,} patients by {self.method}; p = {self.p:.3f} "
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


def _write(
    out: Path,
    data: Data,
    given: tuple[AlignParams, ModelCard, Fit | None],
    sentences: Sequence[str],
    done: Aligned,
) -> None:
    params, card, fit = given
    everyone = np.arange(len(data.images))
    adapter = fitted(data, everyone, data.texts.vectors, fit)
    value = next(line for line in done.lines if line.measure == MATCH)
    head = AdapterHeader(
        title=out.stem,
        image=card.id,
        text=params.text,
        logit_scale=best_scale(data, folds_of(data.patients, params.folds), fit),
        words=list(data.texts.tfidf.words) if data.texts.tfidf else [],
        told=(
            f"{done.pairs} sentences of {done.patients:,} patients, {card.id} with {params.text}; "
            f"a right pair is nearer than a wrong one in {value.value:.0%}."
        ),
        pixels=card.input_size or 224,
        mpp=card.mpp,
    )
    write_aligned(out, head, data.texts.whole(adapter, sentences), data.texts.tfidf)


def write_lines(path: Path, lines: Sequence[AlignRow]) -> None:
    """Write ``align.csv``; raises `ExportError`."""
    text = io.StringIO(newline="")
    write = table_writer(text, _COLUMNS, ("split",))
    for line in lines:
        figures = (line.value, line.plain, line.shuffled)
        write([line.split, line.measure, *("" if math.isnan(v) else f"{v:.4f}" for v in figures)])
    replace_file(path, text.getvalue())


def _refusal(done: Aligned) -> str:
    if math.isnan(done.p):
        return (
            f"Of {done.pairs} pairs of {done.patients:,} patients no fold holds two sentences that "
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
