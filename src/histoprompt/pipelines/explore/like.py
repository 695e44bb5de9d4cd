"""More like this: examples, counter-examples and words as one question, and its best answers.

A question is one vector (Rocchio 1971): the mean of the examples, less a share of the mean of the
counter-examples, plus the words. In a first trial on 60 pictures of osteosarcoma, tiles of the
example's own picture left out, no other rule that was tried (nearest example, soft maxima, a linear
classifier) found more on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import PromptError
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.vectors import unit_rows
from histoprompt.pipelines.explore.exact import Bank, best

# Answers that are looked at for each that is shown, where they shall differ from each other.
_CANDIDATES = 10
_MOST_CANDIDATES = 4096


@dataclass(frozen=True)
class LikeParams:
    """How answers are chosen.

    Attributes
    ----------
    top : int
    diversity : float
        Weight of unlikeness to answers chosen before (maximal marginal relevance), 0 to 1.
    per_slide : int
        Answers of one slide at most; 0 for any number.
    against : float
        How much counter-examples count, in examples.
    word_weight : float
        How much words count, in examples.
    """

    top: Annotated[int, Parameter("Hits", "How many are shown.", low=1, high=100_000)] = 50
    diversity: Annotated[
        float,
        Parameter(
            "Diversity",
            "0 shows the nearest; more leaves out what looks like a hit that is shown already.",
            low=0.0,
            high=0.9,
            advanced=True,
        ),
    ] = 0.1
    per_slide: Annotated[
        int,
        Parameter(
            "Hits per slide",
            "At most so many of one slide.",
            low=0,
            high=100_000,
            special="any number",
            advanced=True,
            option="hits-per-slide",
        ),
    ] = 0
    against: Annotated[
        float,
        Parameter(
            "Weight of unlike",
            "How much examples of what is not meant count, beside those of what is.",
            low=0.0,
            high=2.0,
            advanced=True,
            option="unlike-weight",
        ),
    ] = 0.25
    word_weight: Annotated[
        float,
        Parameter(
            "Weight of words",
            "How much words count beside examples.",
            low=0.0,
            high=10.0,
            advanced=True,
        ),
    ] = 1.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, eq=False)
class LikeQuery:
    """What is looked for, in the space of a bank.

    Attributes
    ----------
    like, unlike : (k, d) float32
        A unit vector for each example.
    words : (m, d) float32
        A unit vector for each text.
    own : (n,) int32
        Positions of the slides that the examples lie on; empty for pictures and words.
    refused : (r,) intp
        Rows that lie where a counter-example was given: never an answer, whatever their score.
    """

    like: NDArray[np.float32]
    unlike: NDArray[np.float32]
    words: NDArray[np.float32]
    own: NDArray[np.int32]
    refused: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))

    def vector(self, params: LikeParams) -> NDArray[np.float32]:
        """The (d,) unit vector that answers are nearest to.

        Raises
        ------
        PromptError
            If nothing says what is looked for.
        """
        if not len(self.like) and not len(self.words):
            raise PromptError("Nothing says what to look for: give an example, or words.")
        total = np.zeros(self.like.shape[1], np.float64)
        for vectors, weight in (
            (self.like, 1.0),
            (self.unlike, -params.against),
            (self.words, params.word_weight),
        ):
            if len(vectors):
                total += weight * unit_rows(vectors.mean(axis=0)[None])[0]
        return np.asarray(unit_rows(total[None])[0], np.float32)

    def without(self, like: int | None = None, unlike: int | None = None) -> LikeQuery:
        """The question without one of its examples."""
        kept = self.like if like is None else np.delete(self.like, like, axis=0)
        other = self.unlike if unlike is None else np.delete(self.unlike, unlike, axis=0)
        return LikeQuery(kept, other, self.words, self.own, self.refused)


@dataclass(frozen=True)
class Cut:
    """Where a threshold lies, and what it rests on.

    Attributes
    ----------
    value : float
        A hit at or above it is taken for one.
    right, tried : int
        Examples that fall on their side when left out, of how many.
    """

    value: float
    right: int
    tried: int

    def __str__(self) -> str:
        return (
            f"threshold {self.value:.2f}: of {self.tried:,} examples left out in turn, "
            f"{self.right} fall on their side"
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """What was found.

    Attributes
    ----------
    rows : (k,) intp
        Of the bank, the best first.
    scores : (k,) float32
        Cosines with the question, falling.
    all_scores : (n,) float32
        Of every row; -1 where a counter-example was given.
    cut : Cut or None
        None where there are too few examples to leave one out.
    own_share, expected : float or None
        Share of the hits on the slides of the examples, and share of all rows that lie there; None
        for one slide or where no example lies on one.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float32]
    all_scores: NDArray[np.float32]
    cut: Cut | None
    own_share: float | None
    expected: float | None

    @property
    def told(self) -> tuple[str, ...]:
        """What a person should know of them, a line each."""
        lines = []
        if self.cut is not None:
            above = int((self.all_scores >= self.cut.value).sum())
            lines.append(f"{self.cut}; {above} of {len(self.all_scores)} lie above it")
        else:
            lines.append("no threshold: it takes two examples or more")
        if self.own_share is not None and self.expected is not None:
            lines.append(
                f"{self.own_share:.0%} of hits come from the query's own slide "
                f"({self.expected:.0%} expected)"
            )
        return tuple(lines)


def search(bank: Bank, question: LikeQuery, params: LikeParams) -> Answers:
    """The rows most like what is asked for, none twice, the best first.

    Raises
    ------
    PromptError
        If nothing says what is looked for.
    """
    query = question.vector(params)
    scores = bank.scores(query)
    scores[question.refused] = -1.0
    slide_of = bank.index.slide_of
    rows = _chosen(bank, scores, slide_of, params)
    rows = np.setdiff1d(rows, question.refused)
    rows = rows[np.lexsort((rows, -scores[rows]))]
    own = expected = None
    if len(question.own) and len(bank.index.slides) > 1 and len(rows):
        own = float(np.isin(slide_of[rows], question.own).mean())
        expected = float(np.isin(slide_of, question.own).mean())
    return Answers(rows, scores[rows], scores, threshold(question, params), own, expected)


def _chosen(
    bank: Bank, scores: NDArray[np.float32], slide_of: NDArray[np.int32], params: LikeParams
) -> NDArray[np.intp]:
    """Rows that are shown: near the question, unlike each other, not too many of one slide."""
    most = params.per_slide or len(scores)
    pool = min(_CANDIDATES * params.top, max(_MOST_CANDIDATES, params.top))
    count = pool if params.diversity else params.top
    ranked = best(scores, len(scores) if params.per_slide else count)
    if not params.diversity:
        return _capped(ranked, slide_of, most, count)
    ranked = _capped(ranked, slide_of, _CANDIDATES * most, count)
    kept = _diverse(scores[ranked], bank.take(ranked), slide_of[ranked], params)
    return ranked[kept]


def _capped(
    rows: NDArray[np.intp], slide_of: NDArray[np.int32], most: int, count: int
) -> NDArray[np.intp]:
    """The first `count` rows of which at most `most` lie on one slide."""
    of = slide_of[rows]
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], of[order])
    place = np.empty(len(rows), np.intp)
    place[order] = np.arange(len(rows)) - starts
    return rows[place < most][:count]


def _diverse(
    scores: NDArray[np.float32],
    unit: NDArray[np.float32],
    slide_of: NDArray[np.int32],
    params: LikeParams,
) -> list[int]:
    """Maximal marginal relevance (Carbonell & Goldstein 1998) among candidates of these scores."""
    most = params.per_slide or len(scores)
    open_, nearest = np.ones(len(scores), bool), np.full(len(scores), -1.0, np.float32)
    taken: dict[int, int] = {}
    chosen: list[int] = []
    while len(chosen) < params.top and open_.any():
        value = (1 - params.diversity) * scores - params.diversity * nearest
        k = int(np.where(open_, value, -np.inf).argmax())
        chosen.append(k)
        open_[k] = False
        slide = int(slide_of[k])
        taken[slide] = taken.get(slide, 0) + 1
        if taken[slide] >= most:
            open_ &= slide_of != slide
        np.maximum(nearest, unit @ unit[k], out=nearest)
    return chosen


def threshold(question: LikeQuery, params: LikeParams) -> Cut | None:
    """Where hits end, by leaving out each example in turn.

    With counter-examples it lies where most fall on their side, else at the lowest score of an
    example. None with fewer than two examples.
    """
    count = len(question.like)
    if count < 2:
        return None
    yes = [float(question.like[k] @ question.without(like=k).vector(params)) for k in range(count)]
    no = [
        float(question.unlike[k] @ question.without(unlike=k).vector(params))
        for k in range(len(question.unlike))
    ]
    if not no:
        low = min(yes)
        return Cut(low, sum(v >= low for v in yes), count)
    return _between(np.array(yes), np.array(no))


def _between(yes: NDArray[np.float64], no: NDArray[np.float64]) -> Cut:
    """The middle of the widest gap at which the shares of both kinds on their side are greatest."""
    values = np.unique(np.concatenate([yes, no]))
    ends = np.concatenate([[values[0] - 1e-6], values, [values[-1] + 1e-6]])
    middles, gaps = (ends[:-1] + ends[1:]) / 2, np.diff(ends)
    right = (yes[None] >= middles[:, None]).mean(1) + (no[None] < middles[:, None]).mean(1)
    k = int(np.lexsort((gaps, np.round(right, 9)))[-1])
    cut = float(middles[k])
    return Cut(cut, int((yes >= cut).sum() + (no < cut).sum()), len(yes) + len(no))


def one_vector(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (d,) unit vector of an example of several windows, (k, d)."""
    return np.asarray(unit_rows(unit.mean(axis=0)[None])[0], np.float32)


def stacked(vectors: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """(k, d) of k vectors, also where there are none."""
    return np.stack(vectors) if vectors else np.zeros((0, width), np.float32)
