"""A round of learning: train on the labels there are, and choose the cell to ask about next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.task import Task
from histoprompt.pipelines.classes.active_learning import Review, Suggestion, next_cell, stop_hint
from histoprompt.pipelines.classes.train import TrainedClassifier, Trainer
from histoprompt.pipelines.classes.train_params import TrainParams


@dataclass(frozen=True, eq=False)
class Lesson:
    """What came of learning from labels.

    Attributes
    ----------
    trainer : Trainer
        Ready for the next time.
    fit : TrainedClassifier
    suggestion : Suggestion or None
        The most useful cell to look at next.
    """

    trainer: Trainer
    fit: TrainedClassifier
    suggestion: Suggestion | None


def learn(
    cells: CellTable,
    trainer: Trainer | None,
    params: TrainParams,
    review: Review,
    *,
    task: Task,
    first: NDArray[np.int64] | None = None,
    like: str = "",
) -> Lesson:
    """Train on the labels given so far and classify all cells.

    Parameters
    ----------
    cells : CellTable
    trainer : Trainer or None
        Of an earlier lesson on the same cells.
    params : TrainParams
    review : Review
    task : Task
    first : (k,) int64, optional
        Ids of cells to ask about before all others.
    like : str
        The class whose look-alikes are asked about; empty for what is most useful.

    Raises
    ------
    LabelError
        If nothing can be learnt from them.
    """
    task.step(0, 0, "Learning classes")
    trainer = trainer or Trainer(cells, params)
    trainer.params = params
    fit = trainer.fit(review.labels)
    task.step(0, 0, "Looking for the next cell to ask about")
    return Lesson(trainer, fit, next_cell(fit, review, first, like))


def hint(review: Review, fit: TrainedClassifier) -> str:
    """Whether to go on labelling, in words."""
    stop = stop_hint(review)
    if stop:
        return f"You may stop: {stop}"
    few = [name for name, count in fit.examples.items() if count < 3]
    if few:
        return f"Label at least 3 cells of {', '.join(few)}."
    return "More labels still help."
