"""From a file of tags to proposals, answers and a detector: the controller behind the Tags dock."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from histoprompt._qt.layers.camera import fly_to
from histoprompt._qt.shell.batch import BatchWork
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.session import Session
from histoprompt.core.errors import HistopromptError
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.tags.detect import Fitted, fit
from histoprompt.pipelines.tags.detector import DetectParams
from histoprompt.pipelines.tags.params import TagParams
from histoprompt.pipelines.tags.proposals import (
    Proposal,
    answers_of,
    keep_answer,
    opened_tagging,
    proposals,
    propose,
    take_in,
)
from histoprompt.pipelines.tags.records import Answer
from histoprompt.pipelines.tags.review import ReviewAnswer
from histoprompt.pipelines.tags.run import Tagged

DETECTOR = "detector.safetensors"
_ANSWERS: dict[str, Answer] = {"a": "accept", "r": "reject", "u": "unsure"}
_NO_SLIDE = "Open a slide first: File > Open Sample > histoprompt has one."


class TagController:
    """Proposals for the session's slide, or those of a folder.

    Attributes
    ----------
    tagged : Tagged or None
    shown : tuple of Proposal
    answers : dict of int to ReviewAnswer
    changed : Signal
        Other proposals are shown.
    answered : Signal(int)
        The proposal at a place was answered, or an answer was taken back.
    said : Signal(str)
    fitted : Signal(Fitted)
    """

    changed, answered = Signal(), Signal(int)
    said, fitted = Signal(str), Signal(object)

    def __init__(self, session: Session) -> None:
        self._session = session
        self.work = BatchWork(session.jobs, "Cancelled. What was there before is unchanged.")
        self.tagged: Tagged | None = None
        self.shown: tuple[Proposal, ...] = ()
        self.answers: dict[int, ReviewAnswer] = {}

    def propose(self, params: TagParams, out: Path) -> None:
        """Propose tags for the slide that is open."""
        slide = self._session.slide.slide
        if slide is None:
            self.said.emit(self._session.slide.reason or _NO_SLIDE)
            return
        self.work.run(
            _propose, slide, params, out, self._session.manager,
            title="Proposing tags", done=self._take,
        )  # fmt: skip

    def open(self, folder: Path) -> None:
        """Go on with the proposals in a folder."""
        self.work.run(_open, folder, title="Reading tags", done=self._take)

    def answer(self, place: int, key: str, reviewer: str) -> bool:
        """Answer a proposal by a key, and keep the answer at once; it can be undone.

        False, and it was told why, if the key answers nothing or the disk would not have it.
        """
        if self.tagged is None or not 0 <= place < len(self.shown):
            return False
        one, names = self.shown[place], self.tagged.work.names
        if key.isdigit():
            if int(key) > len(names):
                self.said.emit(f"There are {many(len(names), 'tag')}: {key} is the number of none.")
                return False
            tag = names[int(key) - 1]
            said = ReviewAnswer(one.id, "accept", "", reviewer) if tag == one.tag else ReviewAnswer(
                one.id, "fix", tag, reviewer
            )  # fmt: skip
        elif key == "a" and not one.tag:
            self.said.emit("This one has no tag to accept: give it a number, or reject it.")
            return False
        else:
            said = ReviewAnswer(one.id, _ANSWERS[key], "", reviewer)
        before = self.answers.get(one.id, ReviewAnswer(one.id, ""))
        kept = self._keep(place, said)
        if kept:
            self._session.steps.push(
                f"the answer {said.answer}", lambda: self._keep(place, before),
                lambda: self._keep(place, said),
            )  # fmt: skip
        return kept

    def take_in(self) -> None:
        """Take all answers into the table and the training set."""
        if self.tagged is None or not self.answers:
            self.said.emit("Nothing was answered yet.")
            return
        self.work.run(
            _take_in, self.tagged, dict(self.answers), self._session.slide.slide,
            title="Taking answers in", done=self._take,
        )  # fmt: skip

    def fit(self, params: DetectParams, *, compare: bool) -> None:
        """Fit a detector to what was answered."""
        if self.tagged is None:
            self.said.emit("Propose tags first, or open a folder of some.")
            return
        folder = self.tagged.folder
        self.work.run(
            _fit, folder, params, compare, title="Fitting a detector", done=self._on_fitted
        )

    def fly_to(self, place: int) -> None:
        """Show a proposal on the slide, if that slide is open."""
        here = self._session.slide
        one = self.shown[place]
        if here.image is None or here.slide is None or here.slide.key != one.slide_key:
            self.said.emit(f"{one.header}. Its slide is not the one that is open.")
            return
        fly_to(self._session.viewer, here.image, one.box)

    def _take(self, tagged: Tagged) -> None:
        self.tagged = tagged
        self.shown = proposals(tagged)
        try:
            self.answers = answers_of(tagged)
        except HistopromptError as error:
            self.answers = {}
            self.said.emit(told(error))
        self.changed.emit()
        self.said.emit(tagged.told[0] if not tagged.notes else tagged.notes[0])

    def _keep(self, place: int, said: ReviewAnswer) -> bool:
        """Keep an answer; False, and it was told, if the disk would not have it."""
        assert self.tagged is not None
        try:
            keep_answer(self.tagged, said)
        except HistopromptError as error:
            self.said.emit(told(error))
            return False
        self.answers[said.id] = said
        if not said.answer:
            del self.answers[said.id]
        self.answered.emit(place)
        return True

    def _on_fitted(self, found: Fitted) -> None:
        self.fitted.emit(found)
        self.said.emit(f"The detector is {found.out}.")


def _propose(
    slide: Slide, params: TagParams, out: Path, manager: ModelManager, *, task: Task
) -> Tagged:
    return propose(slide, params, out, manager, task)


def _open(folder: Path, *, task: Task) -> Tagged:
    return opened_tagging(folder, task)


def _take_in(
    tagged: Tagged, answers: dict[int, ReviewAnswer], slide: Slide | None, *, task: Task
) -> Tagged:
    return take_in(tagged, answers, slide, task)


def _fit(folder: Path, params: DetectParams, compare: bool, *, task: Task) -> Fitted:
    task.step(0, 0, "Fitting a detector")
    return fit(folder, folder / DETECTOR, params, compare=compare)
