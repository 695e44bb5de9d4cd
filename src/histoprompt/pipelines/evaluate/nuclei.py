"""How well a model finds all nuclei of labelled images: overlap, separation, counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.metrics import agreement
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.memory.manager import ModelManager
from histoprompt.models.roles import CellSegmenter
from histoprompt.pipelines.evaluate.report import Cell, Labelled, Report, check_role, rounded

Labels = NDArray[np.int32]
COLUMNS = ("images", "n", "nuclei", "found", "F1@.5", "PQ", "AJI", "count error", "count bias")


def bench_nuclei(
    images: Sequence[Labelled],
    card: ModelCard,
    manager: ModelManager,
    task: Task,
    *,
    weights: Path | None = None,
    mpp: float | None = None,
) -> Report:
    """Compare found and true instances by group of images, and over all.

    Parameters
    ----------
    images : sequence of Labelled
        Not empty.
    card, manager, weights
        The model.
    task : Task
        Told of every image.
    mpp : float, optional
        Microns a pixel of all images, which are then brought to the model's scale; without it they
        are shown as they are.

    Raises
    ------
    ModelError
        If the model does not find cells by itself.
    """
    check_role(card, "cells", "all nuclei")
    groups: dict[str, list[tuple[Labels, Labels]]] = defaultdict(list)
    factor = mpp / card.mpp if mpp and card.mpp else 1.0
    for done, item in enumerate(images):
        task.step(done, len(images), f"Finding nuclei in {item.name}")
        image, true = item.read()
        shown = _scaled(image, factor)
        with manager.lease(card, task, weights) as model:
            found = _segment(model, shown)
        groups[item.group].append((true, _back(found, true.shape)))
    task.step(len(images), len(images), "Done")
    unnamed = "no group" if len(groups) > 1 else "all"
    rows = [_row(name or unnamed, pairs) for name, pairs in sorted(groups.items())]
    if len(groups) > 1:
        rows.append(_row("all", [pair for pairs in groups.values() for pair in pairs]))
    return Report(f"{card.title}: all nuclei", _setting(card, mpp), COLUMNS, tuple(rows), _DRAWN)


_DRAWN = ("F1@.5", "PQ", "AJI")


def _segment(model: CellSegmenter, image: NDArray[np.uint8]) -> Labels:
    return model.segment(image)


def _scaled(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """The image at the model's scale; one within 5 per cent is left as it is."""
    if abs(factor - 1) < 0.05:
        return image
    rows, cols = (max(1, round(n * factor)) for n in image.shape[:2])
    resized = Image.fromarray(image).resize((cols, rows), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _back(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels on the pixels of the image as it was."""
    rows, cols = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, labels.shape, strict=True)
    )
    return np.asarray(labels[np.ix_(rows, cols)])


def _row(name: str, pairs: Sequence[tuple[Labels, Labels]]) -> tuple[Cell, ...]:
    true, found = [t for t, _ in pairs], [f for _, f in pairs]
    result = agreement(true, found)
    counts = [sum(len(np.unique(x[x > 0])) for x in side) for side in (true, found)]
    figures = rounded([result.f1, result.pq, result.aji, result.mape, result.bias])
    return (name, len(pairs), *counts, *figures)


def _setting(card: ModelCard, mpp: float | None) -> str:
    scale = (
        f"images at {mpp:g} um/px brought to the model's {card.mpp:g}"
        if mpp and card.mpp
        else "images as they are"
    )
    return (
        f"Means over images; {scale}. F1 counts matches of IoU 0.5 or more, PQ of more than 0.5. "
        "Count error: mean of |found - true| / true; count bias: (found - true) / true over all."
    )
