"""From a region to counted and classified cells: the controller behind the Count dock.

It knows jobs and pipelines, no widget and no layer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from psygnal import Signal

from histoprompt._qt.count.classes import Classing
from histoprompt._qt.count.correcting import Correcting
from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.shell.undo import UndoStack
from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import capital, many
from histoprompt.core.task import Progress, Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.audit.marks import AuditMark
from histoprompt.pipelines.count import audit as count_audit
from histoprompt.pipelines.count import kept as count_work
from histoprompt.pipelines.count.audit import (
    Audit,
    load_audit,
    save_audit,
    start_audit,
    truth_in_field,
)
from histoprompt.pipelines.count.hand_work import Correction
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.kept import CountFindings, KeptCount
from histoprompt.pipelines.count.kept_recipe import keep_work_recipe
from histoprompt.pipelines.count.listed import ListedCount, listed_counts
from histoprompt.pipelines.count.slide import CountResult
from histoprompt.pipelines.count.stored import StoredCount, open_to_work
from histoprompt.pipelines.count.tally import QUPATH
from histoprompt.pipelines.formats.regions import Region

Regions = Sequence[Region] | Callable[[], Sequence[Region]]
"""Regions to count in, or what gives them in the background; it may raise a RegionError."""

_VOID = (
    "The audit of {} does not hold any more: it was of the cells there were before this "
    "correction. Take the correction back, or draw fields anew."
)


class Counting:
    """One count and what is said about its cells.

    Attributes
    ----------
    counted : Signal
        There is another count, or none: read `work`.
    classes : Classing
        The classes of its cells.
    correcting : Correcting
        Corrections of its cells by hand.
    corrected : Signal
        The same count has other cells now: read `work`.
    audited : Signal
        The audit changed: read `audit`.
    listed : Signal(list of ListedCount)
        The counts that are kept of the slide.
    chosen : Signal(int, object)
        A cell was chosen, and by whom.
    reviewed : Signal
        Somebody wants to look at the cells and correct them.
    steps : UndoStack
        Where what a person said can be taken back.
    busy : Signal(bool)
        A count or an export started or ended.
    status, failed : Signal(str)
    progress : Signal(Progress)
    """

    counted = Signal()
    corrected = Signal()
    audited = Signal()
    chosen = Signal(int, object)
    reviewed = Signal()
    listed = Signal(list)
    busy = Signal(bool)
    status = Signal(str)
    failed = Signal(str)
    progress = Signal(Progress)

    def __init__(self, jobs: Jobs, manager: ModelManager, steps: UndoStack | None = None) -> None:
        self._jobs, self._manager = jobs, manager
        self.steps = UndoStack() if steps is None else steps
        self.classes = Classing(jobs, self.steps, manager)
        self.classes.looking.busy.connect(self.busy.emit)
        self.classes.looking.progress.connect(self.progress.emit)
        self.classes.status.connect(self.status.emit)
        self.classes.failed.connect(self.failed.emit)
        self.correcting = Correcting(jobs, self.steps, lambda: self.work)
        self.correcting.status.connect(self.status.emit)
        self.correcting.progress.connect(self.progress.emit)
        self.correcting.made.connect(self._on_corrected)
        self._job: Job | None = None
        self._slide_now: Callable[[], Slide | None] = lambda: None
        self._take(None)

    @classmethod
    def of(cls, session: Session) -> Self:
        """The count of a session's slide; it goes with the slide, and stays on disk."""
        made = cls(session.jobs, session.manager, session.steps)
        made._slide_now = lambda: session.slide.slide
        session.slide.changed.connect(made.drop)
        session.slide.measured.connect(made.drop)
        return made

    @property
    def engaged(self) -> bool:
        """Whether there is a count to look at."""
        return self.work is not None

    def close(self) -> None:
        """Nothing is held: all is on disk."""

    def _take(self, work: KeptCount | None) -> None:
        self.work = work
        self.audit: Audit | None = None
        self.cell = 0
        self.correcting.let_go()
        self.classes.open(work)

    @property
    def cells(self) -> CellTable | None:
        """The cells with the classes they have now."""
        return self.classes.cells

    @property
    def summary(self) -> str:
        """What was counted, for people; empty without a count."""
        return "" if self.work is None else _summary(self.work)

    # -- counting ----------------------------------------------------------------------------

    def count(
        self,
        slide: Slide,
        choice: CountChoice,
        box: Box | None,
        regions: Regions = (),
    ) -> None:
        """Count a box (the whole slide if None) or regions, or go on, in the background."""

        def run(task: Task) -> KeptCount:
            found = regions() if callable(regions) else regions
            return count_work.open_or_run(
                slide, choice, self._manager, box, regions=found, task=task
            )

        def cancelled() -> None:
            self._on_error("Cancelled before any cell was counted.")

        self._submit(run, "The count", self._on_counted, cancelled, partial=self._on_counted)

    def open(self, slide: Slide, stored: StoredCount) -> None:
        """Show a count that is kept, as it was left; nothing is counted."""

        def run(task: Task) -> KeptCount:
            return open_to_work(slide, stored, task)

        self._submit(run, "Opening the count", self._on_counted, lambda: self.busy.emit(False))

    def look(self) -> None:
        """Look which counts are kept of the slide that is worked on."""
        slide = self._slide_now()
        if slide is None:
            self.listed.emit([])
            return
        self._jobs.submit(
            _listed, slide.key, lane="files", key="kept counts", title="Looking for counts",
            on_done=self.listed.emit, aside=True,
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop counting, writing or looking; what was counted is shown and kept."""
        self.classes.looking.cancel()
        if self._job is not None and self._job.active:
            self._job.cancel()
            self.status.emit("Cancelling ...")

    def drop(self) -> None:
        """Let the count go, a running one too; what was counted stays on disk."""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._take(None)
        self.counted.emit()

    def _submit(
        self,
        run: Callable[..., Any],
        title: str,
        done: Callable[..., None],
        cancelled: Callable[[], None],
        partial: Callable[..., None] | None = None,
    ) -> None:
        def ended(then: Callable[..., None], *what: object) -> None:
            if self._job is None:  # let go
                self.busy.emit(False)
            else:
                then(*what)

        self.busy.emit(True)
        self._job = self._jobs.submit(
            run,
            lane="batch",
            key="count",
            title=title,
            on_done=done,
            on_error=self._on_error,
            on_cancel=functools.partial(ended, cancelled),
            on_partial=None if partial is None else functools.partial(ended, partial),
            on_progress=self.progress.emit,
        )

    def _on_counted(self, work: KeptCount) -> None:
        self.busy.emit(False)
        self.show(work)

    def show(self, work: KeptCount) -> None:
        """Work on a count, with what was said of it before; one that was shown stays on disk."""
        self._take(work)
        try:
            self.audit = load_audit(work.folder)
        except HistopromptError as error:
            self.failed.emit(told(error))
        self.counted.emit()
        self.classes.labelled.emit()
        self.audited.emit()
        self.status.emit(_summary(work))
        self.classes.relearn()

    def _on_error(self, text: str) -> None:
        self.busy.emit(False)
        self.status.emit(text)

    # -- corrections -------------------------------------------------------------------------

    def _on_corrected(self, work: KeptCount, step: Correction | None) -> None:
        """Go on with the same count and other cells."""
        audit, held = self.audit, not self.outdated
        self.work = work
        self.classes.recount(work, step)
        if self.cell and not work.holds(self.cell):
            self.choose(0)
        self.corrected.emit()
        self.audited.emit()
        if audit is not None and audit.seen and held and self.outdated:
            self.failed.emit(_VOID.format(many(len(audit.seen), "field")))

    # -- choosing cells ----------------------------------------------------------------------

    def choose(self, cell: int, source: object = None) -> None:
        """Point a cell out to all who show it; 0 for none."""
        self.cell = cell
        self.chosen.emit(cell, source)

    def place(self, cell: int) -> tuple[float, float] | None:
        """Where a cell lies, level-0 (row, col)."""
        row = -1 if self.work is None else self.work.row_of(cell)
        if self.work is None or row < 0:
            return None
        return float(self.work.cells.row[row]), float(self.work.cells.col[row])

    # -- audit and files ---------------------------------------------------------------------

    def begin_audit(self, fields: int, seed: int) -> None:
        """Draw fields to look at, in the background."""
        work, cells = self.work, self.cells
        if work is None or cells is None:
            self.status.emit("Count some cells first.")
            return

        def run(task: Task) -> Audit:
            return start_audit(work, cells, fields, seed, task=task)

        self._jobs.submit(
            run, key="audit", title="The audit", on_done=self.keep_audit, on_error=self.status.emit
        )

    def mark(self, marks: tuple[AuditMark, ...]) -> None:
        """Say what was pointed at in the fields."""
        if self.audit is not None:
            self.audit = replace(self.audit, marks=marks)
            self.audited.emit()

    @property
    def truth(self) -> tuple[int, ...]:
        """Cells by class in the field to look at next, by what was found and pointed at."""
        if self.work is None or self.cells is None or self.audit is None or self.audit.finished:
            return ()
        return truth_in_field(self.work, self.cells, self.audit)

    @property
    def outdated(self) -> bool:
        """Whether cells have other classes than when the fields of the audit were drawn."""
        return self.audit is not None and self.cells is not None and not self.audit.fits(self.cells)

    def keep_audit(self, audit: Audit) -> None:
        """Go on with an audit that got this far; it is on disk."""
        if self.work is None:
            return
        try:
            save_audit(self.work.folder, audit)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self.audit = audit
        self.audited.emit()

    def export(self, folder: Path) -> None:
        """Write all files of a count in the background."""
        work, cells, audit = self.work, self.cells, self.audit
        if work is None or cells is None:
            self.status.emit("Count some cells first.")
            return
        if self.outdated:
            audit = None
        thresholds = self.classes.thresholds or QUPATH
        corrected = audit.corrected() if audit is not None else ()
        findings = CountFindings(self.classes.how, thresholds, corrected, self.classes.classifier)

        def run(task: Task) -> CountResult:
            counted = count_work.write_work(work, cells, folder, findings, task=task)
            keep_work_recipe(work, folder, findings.how, findings.classifier)
            if audit is not None and audit.seen:
                count_audit.write_audit_table(folder / count_audit.TABLE, audit)
            return counted

        def stopped() -> None:
            self._on_error(f"Cancelled: not all files in {folder} are of this count.")

        self._submit(run, "Writing the count", self._on_exported, stopped)

    def _on_exported(self, counted: CountResult) -> None:
        self.busy.emit(False)
        left = " The audit is left out: cells or classes changed since." if self.outdated else ""
        told = f", {counted.by_hand}" if counted.by_hand.touched else ""
        self.status.emit(f"{counted.tally.total:,} cells are in {counted.folder}{told}.{left}")


def _listed(key: str, *, task: Task) -> list[ListedCount]:
    return listed_counts(key)


def _summary(work: KeptCount) -> str:
    text = f"{len(work.cells):,} cells counted."
    if not work.complete:
        text = (
            f"Partial: {len(work.progress.done):,} of {work.progress.total:,} tiles. {text} "
            "Press Count to go on; what is dark is not counted yet."
        )
    told = str(work.by_hand)
    by_hand = [f"{capital(told)}."] if told else []
    return " ".join((text, *by_hand, *work.notes, *work.ground.warnings()))
