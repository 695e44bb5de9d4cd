"""What encoders see around counted cells, as features beside those that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.cell_table import CellTable
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.classes.classifiers import family
from histoprompt.pipelines.embedding.cell_crops import crops_of, on_slide
from histoprompt.pipelines.embedding.tiles import EmbedJob

Float = NDArray[np.float32]


def with_encoders(
    cells: CellTable, slide: Slide, encoders: Sequence[str], manager: ModelManager, task: Task,
    *, before: CellTable | None = None,
) -> CellTable:  # fmt: skip
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
    before : CellTable, optional
        Of an earlier call: cells that are where they were are not looked at again.

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
        job = EmbedJob(manager, registry.card(encoder))
        known, rows = _seen_before(cells, encoder, before)
        new = on & ~known
        made = np.where(known[:, None], rows, np.float32("nan"))
        if new.any() or not known.any():
            seen = crops_of(slide, cells[new], job, part)
            made = made if known.any() else np.full((len(cells), seen.width), np.nan, np.float32)
            made[new] = seen.take(np.arange(int(new.sum())))
        features.append(made)
        names += [f"{encoder}_{k}" for k in range(made.shape[1])]
    joined = np.concatenate(features, axis=1)
    return replace(cells, features=np.asarray(joined, np.float32), feature_names=tuple(names))


def _seen_before(
    cells: CellTable, encoder: str, before: CellTable | None
) -> tuple[NDArray[np.bool_], Float]:
    """Which cells an encoder has seen where they are, (n,), and what it saw, (n, d)."""
    columns = [] if before is None else [
        k for k, name in enumerate(before.feature_names) if family(name) == encoder
    ]  # fmt: skip
    if before is None or not columns or not len(before):
        return np.zeros(len(cells), bool), np.zeros((len(cells), 0), np.float32)
    order = np.argsort(before.id, kind="stable")
    at = order[np.searchsorted(before.id[order], cells.id).clip(0, len(before) - 1)]
    same = (before.id[at] == cells.id) & (before.row[at] == cells.row)
    return np.asarray(same & (before.col[at] == cells.col)), before.features[at][:, columns]


def encoders_of(feature_names: Sequence[str]) -> tuple[str, ...]:
    """The encoders whose features a classifier has learnt from."""
    known = {card.id for card in registry.all_cards() if card.role in ("encoder", "text")}
    return tuple(sorted({family(name) for name in feature_names} & known))


def without_encoders(cells: CellTable) -> CellTable:
    """Without what encoders saw, which is kept elsewhere and can be joined again."""
    learnt = encoders_of(cells.feature_names)
    if not learnt:
        return cells
    kept = [k for k, name in enumerate(cells.feature_names) if family(name) not in learnt]
    names = tuple(cells.feature_names[k] for k in kept)
    return replace(cells, features=cells.features[:, kept], feature_names=names)
