"""The Tags dock: words propose, a person answers by keys, a detector learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from histoprompt._qt.shell import messages
from histoprompt._qt.tags.controller import TagController
from histoprompt._qt.tags.gallery import ProposalGallery
from histoprompt._qt.widgets.allowing import allow
from histoprompt._qt.widgets.base import Dock, row
from histoprompt._qt.widgets.buttons import browse_button
from histoprompt._qt.widgets.forms import ParameterForm
from histoprompt._qt.widgets.panels import ImagePanel
from histoprompt._qt.widgets.work_strip import NoteLabel, WorkStrip
from histoprompt.core.errors import HistopromptError
from histoprompt.core.task import Progress
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.tags.detect import Fitted
from histoprompt.pipelines.tags.detector import DetectParams
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.proposals import tag_chosen

HINT = "Choose a file of tags and press Propose, or open a folder of proposals."
_KEYS = "A accept, R reject, U leave open"
_NONE_PROPOSED = "Propose tags first, or open a folder of proposals."


class TagsDock(Dock):
    """Propose tags by words, answer them by keys, fit a detector.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    """

    def value(self) -> TagParams:
        """What the rows say.

        Raises
        ------
        HistopromptError
            If a value cannot be used.
        """
        name = self._tags.text().strip()
        return replace(self.options.value(), tags=Path(name) if name else None)

    def set_value(self, params: TagParams) -> None:
        """Show these values in the rows."""
        self._tags.setText("" if params.tags is None else str(params.tags))
        self.options.set_value(params)

    def propose(self, out: Path) -> None:
        """Propose tags for the open slide, with results in a folder."""
        try:
            params = self.value()
        except HistopromptError as error:
            self._say(messages.told(error))
            return
        if params.tags is None:
            self._say(HINT)
            return
        self.control.propose(params, out)

    def open(self, folder: Path) -> None:
        """Go on with the proposals in a folder."""
        self.control.open(folder)

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self.control = TagController(self.session)
        self.images = ImagePanel(self)
        self._tags, self._browse = QLineEdit(), browse_button("Choose a file of tags")
        self._tags.setPlaceholderText("tags.toml: names, wordings, attributes")
        self._reviewer = QLineEdit()
        self._reviewer.setPlaceholderText("your name or initials")
        self.options = ParameterForm(TagParams(), skip={"tags", "region"})
        self._go = QPushButton(
            "Propose...", toolTip="Propose tags; choose a folder for the results"
        )
        self._open = QPushButton("Open...", toolTip="Go on with a folder of proposals")
        self.gallery, self.header = ProposalGallery(), NoteLabel()
        self._keys, self.precision = NoteLabel(_KEYS), NoteLabel()
        self._take = QPushButton("Take in", toolTip="Write the table and the training set anew")
        self._fit = QPushButton("Fit detector", toolTip="Learn from what was answered")
        self._compare = QPushButton("Fit and compare")
        self._compare.setToolTip("Hold tags and detector against patients nothing is learnt from")
        form = QFormLayout()
        form.addRow("Tags", row(self._tags, self._browse))
        column = QVBoxLayout(self.content)
        column.addWidget(self.images)
        column.addLayout(form)
        column.addWidget(self.options)
        column.addWidget(row(self._go, self._open))
        reviewed = QFormLayout()
        reviewed.addRow("Reviewer", self._reviewer)
        column.addLayout(reviewed)
        for widget in (self._keys, self.gallery, self.header):
            column.addWidget(widget)
        column.addWidget(row(self._take, self._fit, self._compare))
        column.addWidget(self.precision)
        column.addStretch(1)
        self.report = WorkStrip(HINT, "Answers are kept as they are given")
        self.foot.addWidget(self.report)
        self.offer_recipe(self._steps, self._say)

    def _connect(self) -> None:
        control = self.control
        self._browse.clicked.connect(self._on_browse)
        self._go.clicked.connect(self._on_go)
        self._open.clicked.connect(self._on_open)
        self._take.clicked.connect(control.take_in)
        self._fit.clicked.connect(self._on_fit)
        self._compare.clicked.connect(self._on_compare)
        self.gallery.answered.connect(self._on_key)
        self.gallery.chosen.connect(self._on_chosen)
        self.gallery.picked.connect(control.fly_to)
        self.report.cancelling.connect(control.work.cancel)
        self.link(control.changed, self._on_changed)
        self.link(control.answered, self._on_answered)
        self.link(control.fitted, self._on_fitted)
        self.link(control.said, self._say)
        self.link(control.work.status, self._say)
        self.link(control.work.progress, self._on_progress)
        self.link(self.session.steps.told, self._say)
        self.link(self.session.steps.passed, self._on_passed)
        self.link(self.session.failed, self._say)

    def _start(self) -> None:
        self.session.slide.take_lone()
        self._on_changed()

    # -- what happens ------------------------------------------------------------------------

    def _steps(self, needs: Needs) -> Sequence[RecipeStep]:
        return (RecipeStep("tag", tag_chosen(self.value(), needs)),)

    def _on_browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Tags", "", "Tags (*.toml)")
        if name:
            self._tags.setText(name)

    def _on_go(self) -> None:
        if not self._tags.text().strip():
            self._say(HINT)
        elif name := QFileDialog.getExistingDirectory(self, "Folder for the results"):
            self.propose(Path(name))

    def _on_open(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Open a folder of proposals"):
            self.open(Path(name))

    def _on_key(self, place: int, key: str) -> None:
        if self.control.answer(place, key, self._reviewer.text().strip()):
            self.gallery.move_on(place)

    def _on_chosen(self, place: int) -> None:
        if not 0 <= place < len(self.control.shown):
            self.header.setText("")
            return
        one = self.control.shown[place]
        dropped = f"dropped: {one.dropped}" if one.dropped else ""
        self.header.setText("; ".join(filter(None, (one.header, *one.doubts, dropped))))

    def _on_answered(self, place: int) -> None:
        one = self.control.shown[place]
        self.gallery.show_answer(place, one, self.control.answers.get(one.id))
        self._say(f"{len(self.control.answers)} of {len(self.control.shown)} answered.")

    def _on_changed(self) -> None:
        tagged = self.control.tagged
        for widget in (self.gallery, self._take, self._fit, self._compare, self._keys):
            allow(widget, "" if tagged is not None else _NONE_PROPOSED)
        self.gallery.show_proposals(self.control.shown, self.control.answers)
        if tagged is None:
            return
        names = ", ".join(f"{n} {name}" for n, name in enumerate(tagged.work.names[:9], 1))
        self._keys.setText(f"{_KEYS}; {names}")
        self.precision.setText("\n".join(tagged.told[1:]))

    def _on_fit(self) -> None:
        self.control.fit(DetectParams(), compare=False)

    def _on_compare(self) -> None:
        self.control.fit(DetectParams(), compare=True)

    def _on_fitted(self, found: Fitted) -> None:
        self.precision.setText("\n".join(found.told))

    def _on_progress(self, progress: Progress) -> None:
        self.report.set_busy(True)
        self.report.show_progress(progress)

    def _on_passed(self, text: str) -> None:
        self.report.unsay(text, HINT)

    def _say(self, text: str) -> None:
        self.report.set_busy(self.control.work.active)
        self.report.say(text)
