"""Features that an index of tiles gives: what an encoder saw of each slide, in few numbers.

Principal components need no outcome: they are of all slides, so that each number means the same
for every patient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import HistopromptError, StudyError
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.building import open_index
from histoprompt.pipelines.explore.index import TISSUE, IndexParams, SlideIndex
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.space import Space
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.features import FeatureTable

Floats = NDArray[np.float64]
# Components of slides' means, and of tiles.
_OF_SLIDES, _OF_TILES = 20, 8


def index_features(project: Project, encoder: str, of: str, task: Task) -> FeatureTable:
    """Features of the slides of a project that are indexed.

    Parameters
    ----------
    project : Project
    encoder : str
        Id of the model they were indexed with.
    of : {"embedding", "tiles"}
        Components of the mean of each slide's tiles, weighted by tissue; or mean and spread of the
        components of tiles.
    task : Task

    Raises
    ------
    StudyError
        If no slide is indexed.
    """
    names, parts, notes = open_indexes(project, encoder, task)
    if not parts:
        raise StudyError(
            f"No slide of {project.name} is indexed with {encoder}. Index its slides first. "
            + (notes[0] if notes else "")
        )
    whole = ProjectIndex(tuple(parts))
    space = Space.of(whole)
    weights = [tissue_of(p) for p in parts]
    areas = np.array([float(p.mm2().sum()) for p in parts])
    if of == "embedding":
        columns, values = _means(parts, space, weights)
    else:
        columns, values = _spreads(whole, parts, space, weights)
    return FeatureTable(
        tuple(names),
        columns,
        values,
        areas,
        {},
        tuple(notes),
        f"{of} of {encoder}",
        one_unit=True,
    )


def open_indexes(
    project: Project, encoder: str, task: Task
) -> tuple[list[str], list[SlideIndex], list[str]]:
    """The indexes of a project's slides with their ids, and why others have none."""
    manager, params = ModelManager(), IndexParams(encoder=encoder)
    names, parts, notes = [], [], []
    for done, line in enumerate(project.slides):
        task.step(done, len(project), "Opening indexes", "slide")
        if not project.has_file(line):
            continue
        try:
            with project.open(line) as slide:
                found = open_index(slide, params, manager)
        except HistopromptError as error:
            notes.append(f"{line.id}: {error}")
            continue
        if found is not None and len(found):
            names.append(line.id)
            parts.append(found)
    task.step(len(project), len(project), "Opening indexes", "slide")
    return names, parts, notes


def tissue_of(part: SlideIndex) -> Floats:
    """What each tile of a slide weighs."""
    return np.maximum(part.flags[TISSUE].astype(np.float64), 1e-3)


def tiles_in(part: SlideIndex, space: Space) -> Floats:
    """The tiles of a slide in the space of all."""
    vectors = part.vectors.take(np.arange(len(part)))
    return np.asarray((vectors - space.mean) * space.scale, np.float64)


def _means(
    parts: list[SlideIndex], space: Space, weights: list[Floats]
) -> tuple[tuple[str, ...], Floats]:
    means = np.stack(
        [w @ tiles_in(p, space) / w.sum() for p, w in zip(parts, weights, strict=True)]
    )
    many = max(1, min(_OF_SLIDES, len(parts) - 2, means.shape[1]))
    axes = _axes(means, many)
    values = (means - means.mean(axis=0)) @ axes.T
    return tuple(f"embedding PC{i + 1}" for i in range(len(axes))), values


def _spreads(
    whole: ProjectIndex, parts: list[SlideIndex], space: Space, weights: list[Floats]
) -> tuple[tuple[str, ...], Floats]:
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(whole), min(len(whole), 20_000), replace=False))
    drawn = np.asarray((whole.take(rows) - space.mean) * space.scale, np.float64)
    axes, middle = _axes(drawn, min(_OF_TILES, drawn.shape[1], len(drawn))), drawn.mean(axis=0)
    lines = []
    for part, w in zip(parts, weights, strict=True):
        along = (tiles_in(part, space) - middle) @ axes.T
        mean = w @ along / w.sum()
        lines.append(np.concatenate([mean, np.sqrt(w @ (along - mean) ** 2 / w.sum())]))
    names = [f"tiles PC{i + 1} {what}" for what in ("mean", "sd") for i in range(len(axes))]
    return tuple(names), np.stack(lines)


def _axes(values: Floats, many: int) -> Floats:
    """The first principal axes, (many, d), each with its largest part above 0."""
    _, _, axes = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    axes = axes[:many]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return np.asarray(axes * np.sign(largest)[:, None])
