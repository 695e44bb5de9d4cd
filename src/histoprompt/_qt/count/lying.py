"""How the cells of a count lie: choices, and the files that are written of it in the background."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from histoprompt._qt.count.controller import Counting
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt._qt.widgets.allowing import BUSY, allow
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.overwriting import may_write
from histoprompt._qt.widgets.work_strip import WorkStrip
from histoprompt.core.errors import HistopromptError
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.count.counted_folder import CountedFolder, counted_now
from histoprompt.pipelines.count.spatial.files import PAGE, write_spatial
from histoprompt.pipelines.count.spatial.places import Spatial, SpatialParams


class LyingPanel(QWidget):
    """Rows of what is measured, and a button that writes it.

    Attributes
    ----------
    changed : Signal
        A person changed a row.
    rows : ParameterForm
    strip : WorkStrip
        How far the work is, and what came of it.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._counting = session.part(Counting)
        self.work = BatchWork(session.jobs, "Cancelled. Nothing was written.")
        self.rows = ParameterForm(SpatialParams())
        self._go = QPushButton(
            "Write how cells lie...",
            toolTip="Tables per region, cross-K with its envelope, density maps and a page",
        )
        self.strip = WorkStrip()
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.rows, self._go, self.strip):
            column.addWidget(widget)
        folded = QCollapsible("How cells lie")
        folded.setDuration(0)
        folded.addWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(folded)
        self.folded = folded
        self.rows.changed.connect(self.changed)
        self._go.clicked.connect(self._on_go)
        self.strip.cancelling.connect(self.work.cancel)

    @property
    def radius(self) -> float:
        """Of neighbours, µm; that of before where the row holds none."""
        try:
            return self.rows.value().radius
        except HistopromptError:
            return SpatialParams().radius

    def write(self, folder: Path) -> None:
        """Measure in the background, and write it into a folder."""
        work, cells = self._counting.work, self._counting.cells
        if work is None or cells is None:
            self.strip.say("Count some cells first.")
            return
        try:
            params = self.rows.value()
        except HistopromptError as error:
            self.strip.say(told(error))
            return
        counted = counted_now(work, cells)
        self._folder = folder
        self.work.run(_written, counted, folder, params, title="Measuring how cells lie",
                      done=self._on_done)  # fmt: skip
        self._set_busy(True)

    def say(self, text: str) -> None:
        """Show what became of the work."""
        self._set_busy(self.work.active)
        self.strip.say(text)

    def _set_busy(self, busy: bool) -> None:
        self.strip.set_busy(busy)
        allow(self._go, BUSY if busy else "")

    def _on_done(self, found: Spatial) -> None:
        notes = " ".join(found.notes)
        self.say(
            f"{many(len(found.places), 'place')} measured. {PAGE}, tables and density maps are in "
            f"{self._folder}. {notes}".strip()
        )

    def _on_go(self) -> None:
        if self._counting.work is None:
            self.strip.say("Count some cells first.")
            return
        name = QFileDialog.getExistingDirectory(self, "Write how cells lie into")
        if name and may_write(self, Path(name)):
            self.write(Path(name))


def _written(counted: CountedFolder, folder: Path, params: SpatialParams, *, task: Task) -> Spatial:
    return write_spatial(counted, folder, params, task)
