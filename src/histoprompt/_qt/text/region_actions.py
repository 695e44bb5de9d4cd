"""What is done with scored regions: kept as objects, written to files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from histoprompt._qt.prompts.annotator import Annotator
from histoprompt._qt.shell.batch import BatchWork
from histoprompt.annotations.history import Change
from histoprompt.core.geometry import Box
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import RECIPE
from histoprompt.pipelines.regions.count import RegionCounts
from histoprompt.pipelines.regions.steps import keep, write_kept
from histoprompt.pipelines.text.session import ScoreSession
from histoprompt.pipelines.text.step import score_chosen
from histoprompt.pipelines.text.text_embedding import ScoreParams


@dataclass(frozen=True)
class Current:
    """Whose regions are meant: the text of some work, what it was scored with, and where."""

    work: ScoreSession
    text: str
    job: ScoreJob
    params: ScoreParams
    where: Box


class RegionActions:
    """The regions of the chosen text on one annotated slide, handed on.

    Parameters
    ----------
    batch : BatchWork
    current : callable
        What regions are cut from now; None, and the person was told, if there is nothing.
    counts : callable
        The cells counted in the regions there are now, None if there are none.
    """

    def __init__(
        self,
        batch: BatchWork,
        current: Callable[[], Current | None],
        counts: Callable[[], RegionCounts | None],
    ) -> None:
        self._batch, self._current, self._counts = batch, current, counts
        self._annotator: Annotator | None = None

    def bind(self, annotator: Annotator | None) -> None:
        """Serve another slide."""
        self._annotator = annotator

    def commit(self) -> None:
        """Keep the regions of the text on their plane of the label store."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None:
            given = (annotator.store, now.work.scores, now.text)
            done = partial(self._on_kept, annotator, now.text)
            self._batch.run(keep, *given, title="Committing regions", done=done, edits=True)

    def export(self, folder: Path) -> None:
        """Write maps, tiles, regions and counts into a folder, with the recipe."""
        now, annotator = self._current(), self._annotator
        if now is not None and annotator is not None:
            model, slide = (now.job.card.id, now.job.weights), annotator.slide
            params = replace(now.params, texts=now.work.texts)
            made = partial(
                score_chosen,
                params,
                model,
                slide,
                now.where,
                work=now.work,
                needs=Needs.of(folder / RECIPE),
            )
            given = (folder, now.work.scores, now.work.seen, self._counts(), made)
            write, done = partial(write_kept, key=slide.key), self._batch.status.emit
            self._batch.run(write, *given, title="Writing maps and regions", done=done)

    def _on_kept(
        self, annotator: Annotator, text: str, found: tuple[list[int], Change | None]
    ) -> None:
        ids, change = found
        count = many(len(ids), "region")
        annotator.regions.show_change(change, f"Committed {count}")
        self._batch.status.emit(f"{count} committed, of the class {text!r}, saved.")
