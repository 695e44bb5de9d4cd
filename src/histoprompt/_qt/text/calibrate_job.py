"""Texts calibrated to the marks of their tiles, beside the GUI."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from psygnal import Signal

from histoprompt._qt.shell.jobs import Jobs
from histoprompt.pipelines.regions.steps import fit_all
from histoprompt.pipelines.text.calibrate import TextCalibration
from histoprompt.pipelines.text.session import ScoreSession

FITTING = "calibrating"


class Fitting:
    """Fits the texts of a work on scores, the newest wish alone.

    Attributes
    ----------
    fitted : Signal(ScoreSession, list)
        These texts of this work were fitted to their marks.
    """

    fitted = Signal(ScoreSession, list)

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def fit(self, work: ScoreSession, texts: Sequence[str]) -> list[str]:
        """Fit texts that have marks; returned are those that had some and have none any more."""
        wanted, freed = [], []
        for text in texts:
            item = work.to_fit(text)
            if item is not None:
                wanted.append(item)
            elif work.calibration(text) is not None:
                work.take(text, None)
                freed.append(text)
        if wanted:
            self._jobs.submit(
                fit_all,
                wanted,
                lane="interactive",
                key=FITTING,
                title="Calibrating",
                on_done=partial(self._on_fitted, work),
            )
        return freed

    def _on_fitted(self, work: ScoreSession, found: dict[str, TextCalibration]) -> None:
        for text, fitted in found.items():
            work.take(text, fitted)
        self.fitted.emit(work, list(found))
