"""Work on the scores of one slide: texts, marks, thresholds and regions, with undo, no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.text.calibrate import Calibrator, TextCalibration
from histoprompt.pipelines.text.score import SeenTiles
from histoprompt.pipelines.text.score import manual as manual_threshold
from histoprompt.pipelines.text.tile_labels import TileLabels


@dataclass(frozen=True, eq=False)
class ToFit:
    """One text and its marks, ready to be calibrated in another thread.

    Attributes
    ----------
    text : str
    calibrator : Calibrator
    marks : mapping of int to bool
        At least one.
    """

    text: str
    calibrator: Calibrator
    marks: Mapping[int, bool]

    def fit(self) -> TextCalibration:
        """What the marks make of the text's scores."""
        return self.calibrator.fit(self.marks)


class ScoreSession:
    """What texts score on the tiles of a slide, and what a person made of it.

    Parameters
    ----------
    seen : SeenTiles
    asked : ScoreMap
        What the texts say, from `score.ask`.
    book : TileLabels
        Of the slide.
    manual : mapping of str to float, optional
        Thresholds a person chose before.
    """

    def __init__(
        self,
        seen: SeenTiles,
        asked: ScoreMap,
        book: TileLabels,
        manual: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.seen, self.book = seen, book
        self._manual = {text: manual_threshold(value) for text, value in manual.items()}
        self.answer(asked)

    def answer(self, asked: ScoreMap) -> None:
        """Take the answer to other texts; thresholds typed for texts that stay are kept."""
        self._asked = asked
        self._fitted: dict[str, TextCalibration] = {}
        self._calibrators: dict[str, Calibrator] = {}
        self._manual = {text: cut for text, cut in self._manual.items() if text in asked.texts}
        self.scores = asked
        for text in asked.texts:
            self.refresh(text)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts there are maps of."""
        return self._asked.texts

    # -- marks -------------------------------------------------------------------------------

    def marks(self, text: str) -> dict[int, bool]:
        """The marks of a text by tile."""
        return self.book.of(self._asked, text)

    def mark(self, text: str, tile: int, yes: bool | None) -> None:
        """Mark a tile of a text; None takes the mark away. Saved at once.

        Raises
        ------
        ExportError
            If the mark cannot be saved; nothing is changed then.
        """
        self.book.set(self._asked, text, tile, yes)
        self.refresh(text)

    def to_fit(self, text: str) -> ToFit | None:
        """What `TextCalibration` is to be made of; None without marks."""
        marks = self.marks(text)
        if not marks:
            return None
        if text not in self._calibrators:
            column, start = self._asked.column(text), self._asked.thresholds[text]
            self._calibrators[text] = Calibrator(column, self.seen.vectors[0], start)
        return ToFit(text, self._calibrators[text], marks)

    def take(self, text: str, fitted: TextCalibration | None) -> None:
        """Let what `ToFit.fit` found hold from now on; None is for a text without marks."""
        self._fitted.pop(text, None)
        if fitted is not None:
            self._fitted[text] = fitted
        self.refresh(text)

    def calibration(self, text: str) -> TextCalibration | None:
        """What the marks made of a text; None without marks."""
        return self._fitted.get(text)

    def doubtful(self, text: str) -> int | None:
        """The unmarked tile whose mark would teach most; None if all are marked."""
        fitted = self._fitted.get(text) or TextCalibration(
            self.scores.column(text), self.scores.thresholds[text], 0, 0
        )
        return next(iter(fitted.doubtful(self.marks(text), 1)), None)

    # -- threshold ---------------------------------------------------------------------------

    def set_threshold(self, text: str, value: float | None) -> None:
        """Take a threshold a person chose; None goes back to that of the text and its marks.

        Raises
        ------
        PromptError
            If it is not in [0, 1].
        """
        self._manual.pop(text, None)
        if value is not None:
            self._manual[text] = manual_threshold(value)
        self.refresh(text)

    def origin(self, text: str) -> str:
        """In a few words, where the threshold comes from; the whole truth is in the threshold."""
        if text in self._manual:
            return "set by hand"
        fitted = self._fitted.get(text)
        if fitted is None:
            return "by text only"
        count = fitted.yes + fitted.no
        return f"from {many(count, 'mark')}"

    @property
    def manual(self) -> dict[str, float]:
        """The thresholds a person chose, by text."""
        return {text: cut.value for text, cut in self._manual.items()}

    def is_manual(self, text: str) -> bool:
        """Whether a person chose the threshold."""
        return text in self._manual

    def refresh(self, text: str) -> None:
        """Put together what the text, its marks as they are now, and the person say."""
        fitted, start = self._fitted.get(text), self._asked.thresholds[text]
        column = self._asked.column(text) if fitted is None else fitted.scores
        cut = start if fitted is None else fitted.threshold
        self.scores = self.scores.with_scores(text, column, self._manual.get(text, cut))
        self.scores = self.scores.with_marks(text, self.marks(text))
