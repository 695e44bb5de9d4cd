"""Proposals as small pictures, answered by keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent

from histoprompt._qt.widgets.picture_list import PictureList
from histoprompt.pipelines.tags.proposals import Proposal
from histoprompt.pipelines.tags.review import ReviewAnswer

_SIDE, _HEIGHT = 64, 300
_COLOURS = {"accept": "#48bb78", "reject": "#fc8181", "fix": "#b794f4", "unsure": "#a0a0a0"}
_NUMBERS = "123456789"


class ProposalGallery(PictureList):
    """Pictures, those that disagree first; keys answer the one in hand, and the next comes.

    Attributes
    ----------
    answered : Signal(int, str)
        Place of a proposal, and the key: a, r, u or a number.
    chosen : Signal(int)
        Place of the proposal in hand; -1 for none.
    """

    answered, chosen = Signal(int, str), Signal(int)

    def __init__(self) -> None:
        super().__init__(_SIDE, spacing=3)
        self.setMinimumHeight(_HEIGHT)
        self.setToolTip("A accepts, R rejects, U leaves open, a number gives another tag")
        self.currentRowChanged.connect(self.chosen)

    def show_proposals(
        self, found: Sequence[Proposal], answers: Mapping[int, ReviewAnswer]
    ) -> None:
        """Show these, the first one that was not answered in hand."""
        self.clear()
        for place, one in enumerate(found):
            item = self.add(one.picture, "", place)
            item.setToolTip("\n".join((one.header, *one.doubts)))
            self.show_answer(place, one, answers.get(one.id))
        todo = (i for i, one in enumerate(found) if one.id not in answers)
        self.setCurrentRow(next(todo, 0 if found else -1))

    def show_answer(self, place: int, one: Proposal, said: ReviewAnswer | None) -> None:
        """Show what was said of a proposal."""
        item = self.item(place)
        if item is None:
            return
        told = (said.tag or said.answer) if said else f"{one.tag or 'none'} {one.score:.2f}"
        item.setText(told)
        item.setForeground(QColor(_COLOURS[said.answer]) if said else self.palette().text().color())

    def move_on(self, place: int) -> None:
        """Go from a proposal that was answered to the next one."""
        if place + 1 < self.count():
            self.setCurrentRow(place + 1)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take an answer; other keys move as in any list."""
        key = event.text().lower() if event is not None else ""
        plain = event is not None and event.modifiers() == Qt.KeyboardModifier.NoModifier
        if plain and key and key in f"aru{_NUMBERS}" and self.currentRow() >= 0:
            self.answered.emit(self.currentRow(), key)
            return
        super().keyPressEvent(event)
