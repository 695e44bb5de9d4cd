"""Marked tiles choose among the wordings of a text: those stay that tell yes from no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from histoprompt.core.errors import PromptError
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.embedding.words import Query
from histoprompt.pipelines.text.score import SeenTiles, ask
from histoprompt.pipelines.text.text_embedding import ScoreParams

# Marks of each kind that are needed, and how much another wording must add.
FEWEST, GAIN = 3, 0.005


@dataclass(frozen=True)
class Wording:
    """What marks say of a wording.

    Attributes
    ----------
    text : str
    auroc : float
        How often a tile marked yes scores above one marked no.
    kept : bool
    """

    text: str
    auroc: float
    kept: bool

    @property
    def told(self) -> str:
        """For people: "carcinoma .93", "granuloma .48, left out"."""
        shown = f"{self.auroc:.2f}".lstrip("0")
        return f"{self.text} {shown}{'' if self.kept else ', left out'}"


def wordings_of(text: str) -> tuple[str, ...]:
    """The wordings of a text, which stand between bars.

    Raises
    ------
    PromptError
        If there is one only: nothing can be chosen.
    """
    found = Query.parse(text).synonyms
    if len(found) < 2:
        raise PromptError(f"{text} has one wording. Put bars between several: tumour | carcinoma.")
    return found


def choose_wordings(
    seen: SeenTiles,
    text: str,
    marks: Mapping[int, bool],
    how: tuple[ScoreParams, ScoreJob],
    task: Task,
) -> tuple[Wording, ...]:
    """Choose among the wordings of a text by marked tiles.

    The first wording is the name of the text and stays. Then the one that adds most to the mean
    score of those taken is taken, until none adds anything.

    Parameters
    ----------
    seen : SeenTiles
    text : str
        Wordings with bars between.
    marks : mapping of int to bool
        By tile.
    how : (ScoreParams, ScoreJob)
        How texts are asked, and of what; the parameters' own texts are not.
    task : Task

    Raises
    ------
    PromptError
        If there is one wording only, marks of a kind are too few, or the model does not know a
        wording.
    """
    wordings = wordings_of(text)
    yes = np.array(list(marks.values()), bool)
    short = min(int(yes.sum()), int((~yes).sum()))
    if short < FEWEST:
        raise PromptError(
            f"{many(len(marks), 'tile')} marked, {int(yes.sum())} of them yes. To choose among "
            f"wordings mark {FEWEST} tiles yes and {FEWEST} no, or more."
        )
    rows, (params, job) = np.array(list(marks), np.intp), how
    columns = []
    for number, word in enumerate(wordings):
        task.step(number, len(wordings), f"Asking {word}")
        found = ask(seen, replace(params, texts=(word,)), job, task.quiet())
        columns.append(found.column(found.texts[0])[rows])
    return judged(np.stack(columns, axis=1), yes, wordings)


def judged(
    scores: NDArray[np.floating], yes: NDArray[np.bool_], wordings: Sequence[str]
) -> tuple[Wording, ...]:
    """What marks say of scores (n, w) of n marked tiles: the first wording, then the best ones."""
    from sklearn.metrics import roc_auc_score

    def auroc(values: NDArray[np.floating]) -> float:
        return float(roc_auc_score(yes, values))

    ranks = np.stack([rankdata(column) for column in scores.T], axis=1) / len(scores)
    alone = [auroc(column) for column in ranks.T]
    order = [0, *(1 + np.argsort(-np.array(alone[1:]), kind="stable")).tolist()]
    kept, best = [0], alone[0]
    while len(kept) < len(order):
        tried = {w: auroc(ranks[:, [*kept, w]].mean(axis=1)) for w in order if w not in kept}
        word = max(tried, key=lambda w: tried[w])
        if tried[word] < best + GAIN:
            break
        kept.append(word)
        best = tried[word]
    return tuple(Wording(wordings[w], alone[w], w in kept) for w in order)


def kept_text(found: Sequence[Wording]) -> str:
    """The wordings that stay as one text."""
    return " | ".join(one.text for one in found if one.kept)
