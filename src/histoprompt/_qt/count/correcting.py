"""Corrections of the cells of a count, one step at a time: each can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from psygnal import Signal

from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.shell.undo import UndoStack
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Progress, Task
from histoprompt.pipelines.count.corrections import (
    ClickedPlace,
    Cut,
    add_cell,
    delete_cells,
    log_of,
    merge_cells,
    split_cell,
)
from histoprompt.pipelines.count.hand_work import Correction
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.prompts.segment import SegmentJob

Make = Callable[[KeptCount, Task], Correction | None]


class Correcting:
    """Makes corrections in the background and pushes them as steps.

    Parameters
    ----------
    jobs : Jobs
    steps : UndoStack
    current : callable
        Gives the count that is worked on; None for none.

    Attributes
    ----------
    made : Signal(KeptCount, Correction or None)
        The count after a step; the step if it was made just now, None if one was walked.
    pending : int
        Steps that are being made.
    status : Signal(str)
    progress : Signal(Progress)
    """

    made = Signal(object, object)
    status = Signal(str)
    progress = Signal(Progress)

    def __init__(
        self, jobs: Jobs, steps: UndoStack, current: Callable[[], KeptCount | None]
    ) -> None:
        self._jobs, self._steps, self._current = jobs, steps, current
        self.pending = 0

    def let_go(self) -> None:
        """Another count is worked on: what was corrected stays so, and is on disk."""
        self._steps.forget(self)

    # -- steps -------------------------------------------------------------------------------

    def add(self, place: ClickedPlace, job: SegmentJob) -> None:
        """Add the cell that lies at a place."""
        self.do(lambda work, task: add_cell(work, place, job, task), f"with {job.card.title}")

    def delete(self, cells: Sequence[int]) -> None:
        """Take cells away."""
        self.do(lambda work, task: delete_cells(work, cells, task))

    def split(self, cell: int, cut: Cut) -> None:
        """Part a cell."""
        self.do(lambda work, task: split_cell(work, cell, cut, task))

    def merge(self, cells: Sequence[int]) -> None:
        """Join cells."""
        self.do(lambda work, task: merge_cells(work, cells, task))

    def do(self, make: Make, how: str = "") -> None:
        """Make a step in the background; None from `make` changed nothing."""
        work = self._current()
        if work is None:
            self.status.emit("Count some cells first.")
            return

        def run(task: Task) -> tuple[KeptCount, Correction | None]:
            log_of(work)  # refuses what cannot be corrected
            step = make(work, task)
            return work.corrected(), step

        self.pending += 1
        self.status.emit(f"Correcting {how} ...".replace("  ", " "))
        self._jobs.submit(
            run,
            lane="interactive",
            title="Correcting cells",
            edits=True,
            on_done=self._on_done,
            on_error=self._on_error,
            on_cancel=partial(self._on_error, "The correction was cancelled."),
            on_progress=self.progress.emit,
        )

    # -- what came of it ---------------------------------------------------------------------

    def _on_done(self, found: tuple[KeptCount, Correction | None]) -> None:
        self.pending -= 1
        corrected, step = found
        work = self._current()
        if work is None or work.log is not corrected.log:
            return  # another count is worked on; it is on disk
        if step is None:
            return
        log, number, title = log_of(work), step.number, title_of(step)
        self._steps.push(
            title,
            partial(self._walk, log.undo, number),
            partial(self._walk, log.redo, number),
            self,
        )
        self.made.emit(corrected, step)
        self.status.emit(f"Done: {title}.")

    def _on_error(self, text: str) -> None:
        self.pending -= 1
        self.status.emit(text)

    def _walk(self, way: Callable[[int], bool], number: int) -> bool:
        """Take a step back or do it again, now; an error of the plugin says why not."""
        work = self._current()
        if work is None or not way(number):
            return False
        self.made.emit(work.corrected(), None)
        return True


def title_of(step: Correction) -> str:
    """What a step was, as a noun."""
    cells = [str(cell.id) for cell in step.cells]
    if step.op == "add":
        return f"adding cell {cells[0]}"
    if step.op == "labels":
        return f"taking {many(len(cells), 'committed object')} as cells"
    if step.op == "delete":
        one = len(step.gone) == 1
        return (
            f"deleting cell {step.gone[0]}" if one else f"deleting {many(len(step.gone), 'cell')}"
        )
    if step.op == "split":
        return f"splitting cell {step.gone[0]} into {', '.join(cells)}"
    return f"merging cells {', '.join(map(str, step.gone))} into {cells[0]}"
