"""An encoder that looks at counted cells, so that classes are learnt from what it sees too."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal

from histoprompt._qt.shell.jobs import Job, Jobs
from histoprompt.core.cell_table import CellTable
from histoprompt.core.task import Progress, Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.encoded import encoders_of, with_encoders
from histoprompt.pipelines.count.kept import KeptCount


class Looking:
    """What an encoder sees of the cells of a count.

    Attributes
    ----------
    encoder : str
        Its id; empty where nothing looks at cells but what counted them.
    seen : Signal
        Another encoder has looked at all cells, or none is wanted any more.
    busy : Signal(bool)
        It began to look, or stopped.
    progress : Signal(Progress)
    status : Signal(str)
    """

    seen = Signal()
    busy = Signal(bool)
    progress = Signal(Progress)
    status = Signal(str)

    def __init__(self, jobs: Jobs, manager: ModelManager) -> None:
        self._jobs, self._manager = jobs, manager
        self.encoder = ""
        self._job: Job | None = None
        self._of: CellTable | None = None
        self._table: CellTable | None = None

    def table(self, work: KeptCount) -> CellTable:
        """The cells of a count with all features there are of them now."""
        there = self._table is not None and self._of is work.cells
        return self._table if there and self._table is not None else work.cells

    def forget(self) -> None:
        """Turn to another count, at whose cells nothing has looked."""
        self.cancel()
        self._of = self._table = None
        self.encoder = ""

    def cancel(self) -> None:
        """Stop looking; what was seen is kept on disk."""
        if self._job is not None and self._job.active:
            self._job.cancel()

    def look(self, work: KeptCount | None, encoder: str) -> None:
        """Let an encoder look at the cells it has not seen, in the background; none if empty."""
        self.encoder = encoder
        if work is None:
            self.status.emit("Count some cells first.")
            return
        if not encoder:
            self.cancel()
            self._of = self._table = None
            self.seen.emit()
            return
        before = self._table

        def run(task: Task) -> CellTable:
            return with_encoders(work.cells, work.slide, (encoder,), self._manager, task,
                                 before=before)  # fmt: skip

        def done(found: CellTable) -> None:
            self.busy.emit(False)
            if self.encoder == encoder:
                self._of, self._table = work.cells, found
                self.seen.emit()

        self._submit(run, done)

    def classified(
        self, work: KeptCount, given: Callable[[Task], FewShotClassifier], task: Task
    ) -> tuple[FewShotClassifier, CellTable]:
        """A classifier and the cells with its classes; its encoders look at cells before."""
        classifier = given(task)
        encoders = encoders_of(classifier.feature_names)
        before, manager = self._table, self._manager
        seen = with_encoders(work.cells, work.slide, encoders, manager, task, before=before)
        found = classifier.classify(seen.features, seen.feature_names)
        return classifier, work.cells.classified(*found)

    def _submit(self, run: Callable[[Task], CellTable], done: Callable[[CellTable], None]) -> None:
        self.busy.emit(True)
        self._job = self._jobs.submit(
            run, lane="batch", key="look at cells", title="Looking at the cells", on_done=done,
            on_error=self._on_error, on_cancel=self._on_cancel, on_progress=self.progress.emit,
        )  # fmt: skip

    def _on_error(self, text: str) -> None:
        self.encoder = ""
        self.busy.emit(False)
        self.status.emit(text)
        self.seen.emit()

    def _on_cancel(self) -> None:
        self._on_error("Cancelled. Classes are learnt without what the encoder sees.")
