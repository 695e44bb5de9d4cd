"""What a search came to: the best tiles, the threshold, and what can be done with regions."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from histoprompt._qt.text.calibration import CalibrationPanel, ScaleNote
from histoprompt._qt.text.region_actions_panel import RegionActionsPanel
from histoprompt._qt.text.tile_gallery import TileGallery


class ResultsPanel(QWidget):
    """Shown once there are scores.

    Attributes
    ----------
    scale : ScaleNote
    gallery : TileGallery
    calibration : CalibrationPanel
    hand_on : RegionActionsPanel
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.gallery = ScaleNote(), TileGallery()
        self.calibration, self.hand_on = CalibrationPanel(), RegionActionsPanel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        parts = {
            "Best tiles": (self.scale, self.gallery),
            "Regions": (self.calibration,),
            "Use": (self.hand_on,),
        }
        for title, widgets in parts.items():
            column.addWidget(QLabel(f"<b>{title}</b>"))
            for widget in widgets:
                column.addWidget(widget)
