"""The Project dock: the slides of a study as a table; the next one is a key away."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import QModelIndex, QSize, QSortFilterProxyModel, Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from histoprompt._qt.project.controller import ProjectController
from histoprompt._qt.project.slide_table import SIDE, SlideModel
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Dock
from histoprompt._qt.widgets.number_box import WholeBox
from histoprompt._qt.widgets.work_strip import NoteLabel, WorkStrip
from histoprompt.core.task import Progress


class ProjectDock(Dock):
    """Many slides: open one by a double click, see what was made of each, run a recipe on all."""

    def open(self, folder: Path) -> None:
        """Turn to the project in a folder."""
        self.controller.open(folder)

    @property
    def order(self) -> list[str]:
        """The ids of the slides as they are shown: narrowed down and sorted."""
        rows = (self._sorted.mapToSource(self._sorted.index(r, 0)).row()
                for r in range(self._sorted.rowCount()))  # fmt: skip
        return [self.model.slides[row].id for row in rows]

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.controller = ProjectController(self.session)
        self.model, self._sorted = SlideModel(self), QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self._sorted.setFilterKeyColumn(-1)
        self._sorted.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.title, self.report = NoteLabel("Open a project, or make one."), WorkStrip()
        self.words = QLineEdit(placeholderText="Find a slide")
        self.words.setClearButtonEnabled(True)
        self.table = self._make_table()
        layout = QVBoxLayout(self.content)
        layout.addLayout(self._top())
        layout.addWidget(self.title)
        layout.addWidget(self.words)
        layout.addWidget(self.table, 1)
        layout.addLayout(self._bottom())
        self.foot.addWidget(self.report)
        self.offer_command(self.controller.words, self._say)

    def _top(self) -> QHBoxLayout:
        self._open = QPushButton("Open...", toolTip="Open a project's folder")
        self._new = QPushButton("New...", toolTip="Make a project in a folder")
        self._more = QToolButton(text="Add slides")
        self._more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self._more)
        self._add_files = menu.addAction("Files...")
        self._add_folder = menu.addAction("All slides in a folder...")
        self._add_table = menu.addAction("A table or a QuPath project...")
        self._more.setMenu(menu)
        return _row(self._open, self._new, self._more)

    def _bottom(self) -> QVBoxLayout:
        self._before = QPushButton("Previous", toolTip="Open the slide above")
        self._next = QPushButton("Next", toolTip="Open the slide below")
        self._check = QPushButton("Check", toolTip="Open every slide; say what must be mended")
        self._run = QPushButton("Run recipe...", toolTip="Do a saved recipe with all slides")
        self.processes = WholeBox(minimum=1, maximum=max(1, os.cpu_count() or 1))
        self.processes.setToolTip("How many slides are worked on at once, each by a process")
        self.processes.setSuffix(" at once")
        self._summary = QPushButton("Table", toolTip="Write one table of counts over all slides")
        self._refresh = QPushButton("Refresh", toolTip="Read the table of slides anew")
        layout = QVBoxLayout()
        layout.addLayout(_row(self._before, self._next, self._refresh))
        layout.addLayout(_row(self._check, self._summary, self._run, self.processes))
        return layout

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self._sorted)
        table.setSortingEnabled(True)
        table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.verticalHeader().setVisible(False)
        # rows of one height: Qt need not ask ten thousand of them
        table.verticalHeader().setDefaultSectionSize(SIDE + 4)
        table.setIconSize(QSize(SIDE, SIDE))
        table.setColumnWidth(0, SIDE + 110)
        table.setMinimumHeight(220)
        table.setWordWrap(False)
        return table

    def _connect(self) -> None:
        control = self.controller
        self.words.textChanged.connect(self._sorted.setFilterFixedString)
        self.table.doubleClicked.connect(self._on_row)
        self._open.clicked.connect(self._on_open)
        self._new.clicked.connect(self._on_new)
        self._add_files.triggered.connect(self._on_files)
        self._add_folder.triggered.connect(self._on_folder)
        self._add_table.triggered.connect(self._on_table)
        self._before.clicked.connect(self._on_before)
        self._next.clicked.connect(self._on_next)
        self._check.clicked.connect(control.check)
        self._run.clicked.connect(self._on_run)
        self._summary.clicked.connect(control.summarise)
        self._refresh.clicked.connect(control.refresh)
        self.model.wanted.connect(control.want)
        self.report.cancelling.connect(control.work.cancel)
        self.link(control.changed, self._on_changed)
        self.link(control.states, self.model.show_states)
        self.link(control.picture, self._on_picture)
        self.link(control.said, self._say)
        self.link(control.opened, self._on_opened)
        self.link(control.work.status, self._say)
        self.link(control.work.progress, self._on_progress)

    def _start(self) -> None:
        self._on_changed()

    # -- what happens ------------------------------------------------------------------------

    def _on_changed(self) -> None:
        project = self.controller.project
        for button in (self._more, self._before, self._next, self._check, self._run,
                       self._summary, self._refresh):  # fmt: skip
            allow(button, "" if project is not None else "Open a project first, or make one.")
        if project is not None:
            self.title.setText(f"{project.name} in {project.folder}")
            self.model.show_slides(project.slides, project.table.columns)

    def _on_picture(self, slide_id: str, picture: QPixmap | None) -> None:
        self.model.show_picture(slide_id, picture)

    def _on_row(self, index: QModelIndex) -> None:
        row = self._sorted.mapToSource(index).row()
        self.controller.show(self.model.slides[row].id)

    def _on_opened(self, slide: object) -> None:
        current = self.controller.current
        if current is not None and current.id in self.order:
            self.table.selectRow(self.order.index(current.id))

    def _on_before(self) -> None:
        self.controller.step(-1, self.order)

    def _on_next(self) -> None:
        self.controller.step(1, self.order)

    def _on_open(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Open a project"):
            self.controller.open(Path(name))

    def _on_new(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Make a project in a folder"):
            self.controller.make(Path(name))

    def _on_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add slides")
        if names:
            self.controller.add([Path(name) for name in names])

    def _on_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Add all slides in a folder"):
            self.controller.add([Path(name)])

    def _on_table(self) -> None:
        kinds = "Tables and QuPath projects (*.csv *.tsv *.txt *.qpproj)"
        name, _ = QFileDialog.getOpenFileName(self, "Add the slides of a table", "", kinds)
        if name:
            self.controller.add([Path(name)])

    def _on_run(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Run a recipe", "", "Recipes (*.toml)")
        if name:
            self.controller.run(Path(name), self.processes.value())

    def _on_progress(self, progress: Progress) -> None:
        self.report.set_busy(True)
        self.report.show_progress(progress)

    def _say(self, text: str) -> None:
        self.report.set_busy(self.controller.work.active)
        self.report.say(text)


def _row(*widgets: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout
