"""What can be done with regions: keep them as objects, write them to files."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.overwriting import may_write


class RegionActionsPanel(QWidget):
    """Buttons for the regions of the text that is shown.

    Attributes
    ----------
    committing : Signal
    exporting : Signal(object)
        The folder, a Path.
    """

    committing, exporting = Signal(), Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._commit = QPushButton("Commit regions")
        self._commit.setToolTip("Keep them as objects whose class is the text")
        self._export = QPushButton("Export ...")
        self._export.setToolTip("regions.geojson, heat maps, tiles.csv and counts, into a folder")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._commit)
        layout.addWidget(self._export)
        self._commit.clicked.connect(self.committing)
        self._export.clicked.connect(self._on_export)

    def set_ready(self, ready: bool) -> None:
        """Whether there are regions."""
        allow(self._commit, "" if ready else "Find regions first: none is above the threshold.")

    def _on_export(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Write maps, regions and counts into")
        if name and may_write(self, Path(name)):
            self.exporting.emit(Path(name))
