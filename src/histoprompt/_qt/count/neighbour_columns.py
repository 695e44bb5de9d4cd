"""Columns of neighbours for the table of cells, made in the background when a person asks."""

from __future__ import annotations

from psygnal import Signal

from histoprompt._qt.shell.session import Session
from histoprompt.core.cell_table import CellTable
from histoprompt.core.task import Task
from histoprompt.pipelines.count.spatial.numbers import with_spatial

_NO_SIZE = "Neighbours are counted in µm: this slide states no pixel size."


class NeighbourColumns:
    """Adds to cells how many of each class lie near, and how far the nearest is.

    Attributes
    ----------
    made : Signal(CellTable)
        The same cells with further columns.
    failed : Signal(str)
    """

    made, failed = Signal(object), Signal(str)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._of: CellTable | None = None

    def ask(self, cells: CellTable | None, radius: float) -> None:
        """Make the columns of these cells, within µm; older questions are not answered any more."""
        self._of = cells
        slide = self._session.slide.slide
        if cells is None or slide is None:
            return
        if slide.mpp is None:
            self.failed.emit(_NO_SIZE)
            return
        self._session.jobs.submit(
            _made, cells, slide.mpp, radius, lane="files", key="neighbour columns",
            title="Counting neighbours", on_done=self._on_done, on_error=self.failed.emit,
            aside=True,
        )  # fmt: skip

    def _on_done(self, found: tuple[CellTable, CellTable]) -> None:
        of, cells = found
        if of is self._of:
            self.made.emit(cells)


def _made(
    cells: CellTable, mpp: float, radius: float, *, task: Task
) -> tuple[CellTable, CellTable]:
    task.repeat()
    return cells, with_spatial(cells, mpp, radius)
