"""What encoders see around counted cells, as features beside those that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histoprompt.core.cell_table import CellTable
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.classifiers import family
from histoprompt.pipelines.explore.cells import crops_of, on_slide
from histoprompt.pipelines.explore.index import IndexParams


def with_encoders(
    cells: CellTable, slide: Slide, encoders: Sequence[str], manager: ModelManager, task: Task
) -> CellTable:
    """Cells with what encoders see of a crop of 32 µm around each.

    Parameters
    ----------
    cells : CellTable
    slide : Slide
        That they were counted on.
    encoders : sequence of str
        Ids of models; their features are called ``id_0``, ``id_1`` ... What cells off the slide
        look like is not known.
    manager : ModelManager
    task : Task
        Crops that were looked at before a cancel are kept.

    Raises
    ------
    MissingMppError
        If the slide has no pixel size.
    ModelError
        If a model is unknown or makes no vectors.
    """
    on = on_slide(cells, slide)
    features, names = [cells.features], [*cells.feature_names]
    for done, encoder in enumerate(encoders):
        part = task.part(done / len(encoders), (done + 1) / len(encoders))
        job = IndexParams(encoder=encoder).job(manager)
        seen = crops_of(slide, cells[on], job, part)
        made = np.full((len(cells), seen.width), np.nan, np.float32)
        made[on] = seen.take(np.arange(int(on.sum())))
        features.append(made)
        names += [f"{encoder}_{k}" for k in range(seen.width)]
    joined = np.concatenate(features, axis=1)
    return replace(cells, features=np.asarray(joined, np.float32), feature_names=tuple(names))


def encoders_of(feature_names: Sequence[str]) -> tuple[str, ...]:
    """The encoders whose features a classifier has learnt from."""
    known = {card.id for card in registry.all_cards() if card.role in ("encoder", "text")}
    return tuple(sorted({family(name) for name in feature_names} & known))
