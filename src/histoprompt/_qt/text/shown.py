"""What the layers of the Text dock show, as one value: made by one step, which draws nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histoprompt.core.scores.map import ScoreMap


@dataclass(frozen=True, eq=False)
class ShownResults:
    """What is on show.

    Attributes
    ----------
    scores : ScoreMap or None
        The maps, with thresholds and marks; None where nothing is shown.
    text : str
        The one whose map is shown, and whose marks and regions.
    settled : bool
        Whether marks and regions are shown too: not while tiles are looked at.
    """

    scores: ScoreMap | None = None
    text: str = ""
    settled: bool = False

    def same_map(self, other: ShownResults) -> bool:
        """Whether the heat map looks as the other does."""
        if self.scores is None or other.scores is None:
            return self.scores is other.scores
        here, there = self.scores.column(self.text), other.scores.column(other.text)
        places = self.scores.places, other.scores.places
        return (
            self.text == other.text
            and np.array_equal(*places)
            and np.array_equal(here, there, equal_nan=True)
        )

    def same_regions(self, other: ShownResults) -> bool:
        """Whether regions are those of the other."""
        if self.scores is None or other.scores is None or not (self.settled and other.settled):
            return False
        cuts = self.scores.thresholds[self.text], other.scores.thresholds[other.text]
        return self.same_map(other) and self.marks == other.marks and cuts[0] == cuts[1]

    @property
    def marks(self) -> dict[int, bool]:
        """The marks of the text by tile."""
        return {} if self.scores is None else dict(self.scores.marks.get(self.text, {}))


def resolve(
    before: ShownResults, scores: ScoreMap | None, *, wish: str = "", settled: bool = True
) -> ShownResults:
    """What to show of some maps, after what was shown before.

    Parameters
    ----------
    before : ShownResults
    scores : ScoreMap or None
        The maps there are now; None for none.
    wish : str
        The text that a person wants to see.
    settled : bool
        Whether the maps are of all tiles, with marks and regions.

    Returns
    -------
    Shown
        Of the text wished for; else of the newest one, where there are new ones; else of the one
        shown before, if it is still there.
    """
    if scores is None:
        return ShownResults()
    known = () if before.scores is None else before.scores.texts
    new = [text for text in scores.texts if text not in known]
    text = before.text
    if wish in scores.texts:
        text = wish
    elif new or text not in scores.texts:
        text = (new or scores.texts)[-1]
    return ShownResults(scores, text, settled)
