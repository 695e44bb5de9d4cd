"""Classes of counted cells, by labels, words, DAB or a file: the part of a count that is learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from psygnal import Signal

from histoprompt._qt.count.looking import Looking
from histoprompt._qt.shell import messages
from histoprompt._qt.shell.jobs import Jobs
from histoprompt._qt.shell.messages import told
from histoprompt._qt.shell.undo import UndoStack
from histoprompt.core.cell_table import UNCLASSIFIED, UNSURE, CellTable
from histoprompt.core.errors import HistopromptError, LabelError
from histoprompt.core.stain.ihc import DAB_MEAN, DabClassifier, DabThresholds, IhcScore, ihc_score
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.active_learning import Suggestion
from histoprompt.pipelines.classes.carry import carried
from histoprompt.pipelines.classes.classifier_file import read_classifier, write_classifier
from histoprompt.pipelines.classes.classifiers import FewShotClassifier
from histoprompt.pipelines.classes.encoded import encoders_of
from histoprompt.pipelines.classes.feature_sets import compared
from histoprompt.pipelines.classes.labelling import LabelHistory, Labelling
from histoprompt.pipelines.classes.lesson import Lesson, hint, learn
from histoprompt.pipelines.classes.named_cells import NamedCells
from histoprompt.pipelines.classes.train import TrainedClassifier, Trainer
from histoprompt.pipelines.classes.train_params import TrainParams
from histoprompt.pipelines.count.hand_work import Correction
from histoprompt.pipelines.count.kept import KeptCount
from histoprompt.pipelines.count.listed import ListedCount, taught_classifier, taught_counts

_NONE_OFFERED = (
    "No cell is offered now: wait for the next one, or label a few cells of each class first."
)


class Classing:
    """What is known of the classes of the cells of one count.

    Attributes
    ----------
    cells : CellTable or None
        With the classes they have now.
    how : str
        By what they got them; empty if they have none.
    like : str
        The class whose look-alikes are asked about; empty for the most useful cells.
    fit, suggestion : TrainedClassifier, Suggestion or None
        Of the last training.
    looking : Looking
        An encoder that looks at the cells as well.
    thresholds, ihc : DabThresholds, IhcScore or None
        Where DAB tells the classes.
    classified, labelled, suggested : Signal
        Cells have other classes; labels or the list of classes changed; another cell is offered.
    taught : Signal(list of ListedCount)
        Other counts on whose cells classes were taught.
    status, failed : Signal(str)
    """

    classified = Signal()
    taught = Signal(list)
    labelled = Signal()
    suggested = Signal()
    status = Signal(str)
    failed = Signal(str)

    def __init__(self, jobs: Jobs, steps: UndoStack, manager: ModelManager) -> None:
        self._jobs, self._steps = jobs, steps
        self.looking = Looking(jobs, manager)
        self.looking.status.connect(self.status.emit)
        self.looking.seen.connect(self._on_seen)
        self.params, self.like = TrainParams(), ""
        self.open(None)

    def open(self, work: KeptCount | None) -> None:
        """Serve another count, with the labels given to its cells before; None for no count."""
        self._steps.forget(self)
        self.looking.forget()
        self._work = work
        self.cells: CellTable | None = work.cells if work else None
        self.fit: TrainedClassifier | None = None
        self.suggestion: Suggestion | None = None
        self.how = ""
        self.thresholds: DabThresholds | None = None
        self.ihc: IhcScore | None = None
        self._classifier: FewShotClassifier | None = None
        self._trainer: Trainer | None = None
        self._history: LabelHistory | None = None
        self._named: NamedCells | None = None
        self._named_by = ""
        if work is None:
            return
        try:
            self._history = LabelHistory(work.folder, work.cells, lambda: work.ever)
        except HistopromptError as error:
            self.failed.emit(told(error))
        self._colour()

    def _colour(self) -> None:
        """Let cells have the colours that classes were given when they were met first."""
        if self._history is None or self.cells is None:
            return
        now = self._history.now
        met = now.having_met(n for n in self.cells.classes if n not in (UNSURE, UNCLASSIFIED))
        if met.palette != now.palette:
            try:
                self._history.amend(met)
            except HistopromptError as error:
                self.failed.emit(told(error))
        if self.cells.palette != met.palette:
            self.cells = replace(self.cells, palette=met.palette)

    def holds(self, cell: int) -> bool:
        """Whether there is a cell of this id."""
        return self._work is not None and self._work.holds(cell)

    def recount(self, work: KeptCount, step: Correction | None) -> None:
        """Go on after cells of the same count were corrected, by a step just made or by a walk.

        Cells keep their classes, new ones get theirs from what tells classes now; a cell that was
        parted or joined hands on what a person said of it.
        """
        if self.cells is None or self._history is None:
            return
        self._work, self._trainer = work, None
        if self._named is not None:
            self._named = replace(self._named, cells=carried(self._named.cells, work.cells))
        known, learnt = self._classifier, bool(self.how)
        looks = known is not None and bool(encoders_of(known.feature_names))
        classify = None if known is None or looks else known.classify
        self.cells = carried(self.cells, work.cells, classify) if learnt else work.cells
        if step is not None:
            self._hand_on(step)
        if self.suggestion is not None:
            self.suggestion = None
            self.suggested.emit()
        self.fit = None
        if self.thresholds is not None:
            self.grade(self.thresholds)
        else:
            self._show(self.cells, self.how)
        self.labelled.emit()
        if self.looking.encoder:
            self.looking.look(work, self.looking.encoder)
        elif looks and known is not None and not self.labelling.review.labels:
            self._classify(lambda _: known, self.how)  # new cells have to be looked at
        self.relearn()

    def _hand_on(self, step: Correction) -> None:
        assert self._history is not None
        now = self._history.now
        told = {now.review.labels[i] for i in step.gone if i in now.review.labels}
        made = [cell.id for cell in step.cells]
        for name in told if len(told) == 1 else ():
            now = now.labelled(made, name)
        for cell, name in zip(made, step.info.get("names", ()), strict=False):
            now = now if not name or name in now.classes else now.with_class(name)
            now = now.labelled([cell], name) if name else now
        if now is not self._history.now:
            try:
                self._history.amend(now)
            except HistopromptError as error:
                self.failed.emit(messages.told(error))

    # -- labels ------------------------------------------------------------------------------

    @property
    def labelling(self) -> Labelling:
        """Classes, and the labels given so far to cells that are there."""
        if self._history is None or self._work is None:
            return Labelling()
        return self._history.now.of_cells(self._work.cells)

    def add_class(self, name: str) -> None:
        """Make a class."""
        self._change(f"the class {name}", lambda now: now.with_class(name))

    def remove_class(self, name: str) -> None:
        """Remove a class and the labels of it."""
        self._change(f"removing the class {name}", lambda now: now.without_class(name))

    def label(self, ids: Iterable[int], name: str) -> None:
        """Say which class cells have."""
        known = [i for i in ids if self.holds(i)]
        if known:
            title = f"the class {name} given to {many(len(known), 'cell')}"
            self._change(title, lambda now: now.labelled(known, name))

    def answer(self, key: str) -> None:
        """Answer the suggestion: "a", "r" or "u"."""
        suggestion = self.suggestion
        if suggestion is None:
            self.status.emit(_NONE_OFFERED)
            return
        # An answer is given once: one that comes before the next cell is found is not for this one.
        self.suggestion = None
        self.suggested.emit()
        self._change("the answer to the offered cell", lambda now: now.answered(suggestion, key))

    def undo(self) -> None:
        """Take back what was done last, here or elsewhere."""
        self._steps.undo()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._steps.redo()

    def learn_by(self, params: TrainParams) -> None:
        """Learn in this way from now on."""
        self.params = params
        self.relearn()

    def look_with(self, encoder: str) -> None:
        """Learn from what an encoder sees of the cells as well; from the count alone if empty."""
        self.looking.look(self._work, encoder)

    def _on_seen(self) -> None:
        self._trainer = None
        self.relearn()

    def compare_features(self) -> None:
        """Say how well each set of features alone tells labelled cells that were left out."""
        if self._work is None or not self.labelling.review.labels:
            self.status.emit("Label a few cells of two classes first.")
            return
        cells = self.looking.table(self._work)
        labels, params = dict(self.labelling.review.labels), self.params

        def run(task: Task) -> str:
            task.step(0, 0, "Comparing features")
            return compared(cells, labels, params)

        self._jobs.submit(
            run, lane="batch", key="compare features", title="Comparing features",
            on_done=self.status.emit, on_error=self.status.emit,
        )  # fmt: skip

    def ask_alike(self, name: str) -> None:
        """Ask about cells most like a class from now on; about the most useful ones if empty."""
        if name != self.like:
            self.like = name
            self.relearn()

    def _back(self) -> bool:
        return self._walked(self._history is not None and self._history.undo())

    def _again(self) -> bool:
        return self._walked(self._history is not None and self._history.redo())

    def _walked(self, walked: bool) -> bool:
        if walked:
            self._colour()
            self.labelled.emit()
            self.relearn()
        return walked

    def _change(self, title: str, change: Callable[[Labelling], Labelling]) -> None:
        if self._history is None:
            self.status.emit("Count some cells first.")
            return
        try:
            self._history.change(change(self._history.now))
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self._steps.push(title, self._back, self._again, self)
        self._colour()
        self.labelled.emit()
        self.relearn()

    def relearn(self) -> None:
        """Learn from the labels there are, in the background.

        Where words gave the classes and nobody a label yet, the classes stay and a cell is offered.
        """
        if self._work is None or self._history is None:
            return
        review = self.labelling.review
        if not review.labels and self.fit is not None:
            self._show(*self._before_labels)
            self.fit = self.suggestion = None
            self.suggested.emit()
        labels = {**self._by_words, **review.labels}
        if not labels:
            return
        table = self.looking.table(self._work)
        trainer = self._trainer if self._trainer and self._trainer.cells is table else None
        given = table, trainer, self.params, replace(review, labels=labels)
        first, like = self._named.unsure if self._named is not None else None, self.like

        def run(task: Task) -> Lesson | str:
            # Labels that are too few to learn from are on the way to enough: no error to show.
            try:
                return learn(*given, task=task, first=first, like=like)
            except LabelError as error:
                return told(error)

        self._jobs.submit(
            run,
            lane="interactive",
            key="learn",
            title="Learning classes",
            on_done=self._on_learnt if review.labels else self._on_offered,
            on_error=self.status.emit,
        )

    def _on_offered(self, lesson: Lesson | str) -> None:
        """Words alone are no examples to learn classes from, but tell what is worth asking."""
        if self._work is None or isinstance(lesson, str):
            return
        if self._named is not None and lesson.trainer.cells is self.looking.table(self._work):
            self._trainer, self.suggestion = lesson.trainer, lesson.suggestion
            self.suggested.emit()

    def _on_learnt(self, lesson: Lesson | str) -> None:
        if isinstance(lesson, str):
            self.status.emit(lesson)
            return
        if self._history is None or self._work is None:
            return
        if lesson.trainer.cells is not self.looking.table(self._work):
            return  # of other cells or features; what is learnt of those there are comes soon
        now, before, fit = self._history.now, self.fit, lesson.fit
        self._trainer, self.fit, self.suggestion = lesson.trainer, fit, lesson.suggestion
        self._classifier, self.thresholds, self.ihc = fit.classifier, None, None
        if not now.review.curve or now.review.curve[-1].labels != len(now.review.labels):
            self._history.amend(replace(now, review=now.review.measured(fit, before)))
        given = ", ".join(f"{n} {name}" for name, n in fit.examples.items())
        words = len(self._by_words.keys() - now.review.labels.keys())
        given += f", {words} of them by words" if words else ""
        seen = encoders_of(fit.classifier.feature_names)
        given += f", and what {' and '.join(map(_title, seen))} sees" if seen else ""
        own = self._work.cells
        cells = replace(fit.cells, features=own.features, feature_names=own.feature_names)
        self._show(cells, f"{fit.classifier.method}, learnt from {given}")
        self.suggested.emit()
        self.labelled.emit()

    @property
    def advice(self) -> str:
        """What to do next, and what labels contradict each other, in words."""
        if self.fit is None and self._named is not None:
            return "Words gave the classes. Answer, or label cells whose class is wrong."
        if self.fit is None:
            return "Make classes, then label about 3 cells of each."
        return "\n".join((hint(self.labelling.review, self.fit), *self.fit.warnings))

    @property
    def _by_words(self) -> dict[int, str]:
        """Examples that words give, of the classes there are; what a person said goes before."""
        if self._named is None:
            return {}
        kept = self.labelling.classes
        return {i: word for i, word in self._named.surest.items() if word in kept}

    @property
    def _before_labels(self) -> tuple[CellTable, str]:
        """The classes of cells without any label, and where they are from."""
        assert self._work is not None
        if self._named is None:
            return self._work.cells, ""
        return self._named.cells, self._named_by

    # -- other ways to classes ---------------------------------------------------------------

    def name(self, named: NamedCells, how: str) -> None:
        """Classes by words; corrections are learnt from together with the surest of them.

        The words become classes to label cells with.
        """
        if self._history is None:
            self.status.emit("Count some cells first.")
            return
        now = self._history.now
        try:
            for word in named.words:
                now = now if word in now.classes else now.with_class(word)
            self._history.change(now)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self._named, self._named_by = named, how
        self._classifier, self.thresholds, self.ihc = None, None, None
        self.fit = self.suggestion = None
        self._show(*self._before_labels)
        self.labelled.emit()
        self.suggested.emit()
        self.relearn()

    def grade(self, thresholds: DabThresholds) -> None:
        """Classes by how much DAB cells hold."""
        if self._work is None:
            return
        cells = self._work.cells
        classes, code, score = DabClassifier(thresholds).classify(
            cells.features, cells.feature_names
        )
        density = cells.features[:, cells.feature_names.index(DAB_MEAN)]
        self.thresholds, self.ihc = thresholds, ihc_score(density, thresholds)
        self._classifier = self._named = None
        limits = f"{thresholds.weak:g}, {thresholds.moderate:g}, {thresholds.strong:g}"
        self._show(cells.classified(classes, code, score), f"DAB thresholds {limits}")

    def load(self, path: Path) -> None:
        """Classes by a classifier from a file."""
        self._classify(lambda _: read_classifier(path), f"classifier {path.name}")

    def take_over(self, count: ListedCount) -> None:
        """Classes as they were taught on the cells of another count."""
        made = f"{datetime.fromtimestamp(count.stored.made):%Y-%m-%d %H:%M}"
        how = f"classes taught on the count of {made}, {count.where}"
        self._classify(partial(taught_classifier, count.stored), how)

    def look_for_taught(self) -> None:
        """Look on which other counts classes were taught."""
        folder = None if self._work is None else self._work.folder
        self._jobs.submit(
            _taught, folder, lane="files", key="taught counts", title="Looking for classes",
            on_done=self.taught.emit, aside=True,
        )  # fmt: skip

    def _classify(self, given: Callable[[Task], FewShotClassifier], how: str) -> None:
        if self._work is None:
            return
        work = self._work

        def run(task: Task) -> tuple[FewShotClassifier, CellTable]:
            task.step(0, 0, "Classifying")
            return self.looking.classified(work, given, task)

        def done(result: tuple[FewShotClassifier, CellTable]) -> None:
            self._classifier, self.thresholds, self.ihc = result[0], None, None
            self._named = None
            self._show(result[1], how)

        self._jobs.submit(
            run, lane="batch", key="learn", title="Classifying", on_done=done,
            on_error=self.status.emit, on_progress=self.looking.progress.emit,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the classifier in use."""
        if self._classifier is None:
            self.status.emit("There is no classifier yet: label a few cells first.")
            return
        try:
            write_classifier(path, self._classifier)
        except HistopromptError as error:
            self.failed.emit(told(error))
            return
        self.status.emit(f"The classifier is in {path}.")

    @property
    def classifier(self) -> FewShotClassifier | None:
        """What gave the cells their classes, if that was learnt."""
        return self._classifier if self.how else None

    def _show(self, cells: CellTable, how: str) -> None:
        self.cells, self.how = cells, how
        self._colour()
        self.classified.emit()
        self.status.emit(_summary(cells, how))


def _title(encoder: str) -> str:
    return registry.card(encoder).short_title


def _taught(but: Path | None, *, task: Task) -> list[ListedCount]:
    return taught_counts(but)


def _summary(cells: CellTable, how: str) -> str:
    """How many cells have which class, and by what."""
    if not how:
        return f"{many(len(cells), 'cell')} counted."
    told = ", ".join(f"{n:,} {name or 'without a class'}" for name, n in cells.counts().items())
    return f"{many(len(cells), 'cell')}: {told} (by {how})."
