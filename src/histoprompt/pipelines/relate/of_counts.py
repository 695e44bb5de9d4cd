"""Features that counts of a project's slides give: densities, shares and sizes of cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import StudyError
from histoprompt.core.files.tables import read_table
from histoprompt.core.task import Task
from histoprompt.pipelines.cells.spatial_numbers import spatial_features
from histoprompt.pipelines.count.files import CELLS_PARQUET, COUNTS_CSV
from histoprompt.pipelines.count.out_folders import MADE
from histoprompt.pipelines.count.region import ALL
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.status import COUNT, read_facts
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.relate.features import FeatureTable

SOURCE = "counts"


def count_features(project: Project, radius: float, task: Task) -> FeatureTable:
    """Features of each slide that was counted.

    Parameters
    ----------
    project : Project
    radius : float
        Of neighbours, in µm.
    task : Task

    Raises
    ------
    StudyError
        If no slide was counted.
    """
    found: dict[str, dict[str, float]] = {}
    areas: dict[str, float] = {}
    partial: list[str] = []
    for done, slide in enumerate(project.slides):
        task.step(done, len(project), "Reading counts", "slide")
        folder = project.results(slide) / COUNT
        if (folder / COUNTS_CSV).is_file():
            if not read_facts(folder / MADE).get("complete", True):
                partial.append(slide.id)
                continue
            numbers, areas[slide.id] = _densities(folder / COUNTS_CSV)
            cells = folder / CELLS_PARQUET
            found[slide.id] = numbers | _sizes(cells) | _lie(cells, folder / MADE, slide, radius)
    task.step(len(project), len(project), "Reading counts", "slide")
    if not found:
        raise StudyError(
            f"No slide of {project.name} was counted yet. Count first, or relate features of "
            "your own."
        )
    left = (
        f"{len(partial)} slides are counted in part only and left out ({', '.join(partial[:3])})."
    )
    return replace(_table(found, areas), notes=(left,) if partial else ())


def _densities(path: Path) -> tuple[dict[str, float], float]:
    """Per class, and the mm² that were analysed."""
    need = ("class", "count", "per_mm2", "analysed_mm2", "share", "region")
    numbers: dict[str, float] = {}
    area = float("nan")
    for _, row in read_table(path, "The counts in", StudyError, need).rows:
        if row["region"] != ALL:
            continue
        name = row["class"] or "unclassified"
        numbers[f"{name} per mm2"] = _number(row["per_mm2"])
        if name != ALL:
            numbers[f"{name} share"] = _number(row["share"])
        area = _number(row["analysed_mm2"])
    return numbers, area


def _sizes(path: Path) -> dict[str, float]:
    """Mean and spread of the areas of cells, of all and of each class."""
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=["area_um2", "class"])
    area = table["area_um2"].to_numpy()
    names = np.array([c or "" for c in table["class"].cast("string").to_pylist()], object)
    numbers = {}
    for name in ("", *sorted(set(names) - {""})):
        of = area if not name else area[names == name]
        of = of[np.isfinite(of)]
        if len(of) > 1:
            label = name or ALL
            numbers[f"{label} mean area um2"] = float(of.mean())
            numbers[f"{label} sd of area um2"] = float(of.std(ddof=1))
    return numbers


def _lie(path: Path, made: Path, slide: ProjectSlide, radius: float) -> dict[str, float]:
    """How cells lie to each other; nothing where no pixel size is known."""
    mpp = slide.mpp or read_facts(made).get("mpp")
    if not path.is_file() or not isinstance(mpp, (int, float)) or not mpp > 0:
        return {}
    table = pq.read_table(path, columns=["id", "row", "col", "area_um2", "class"])
    names = [c or "" for c in table["class"].cast("string").to_pylist()]
    classes = tuple(sorted(set(names)))
    code = np.array([classes.index(n) for n in names], np.int16)
    held = {c: table[c].to_numpy() for c in ("id", "row", "col", "area_um2")}
    cells = CellTable(**held, code=code, classes=classes)
    return spatial_features(cells, float(mpp), radius)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _table(found: dict[str, dict[str, float]], areas: dict[str, float]) -> FeatureTable:
    names = tuple(dict.fromkeys(n for numbers in found.values() for n in numbers))
    values = np.full((len(found), len(names)), np.nan)
    for i, numbers in enumerate(found.values()):
        for j, name in enumerate(names):
            # no cell of a class on a slide is a density of 0; its size is not known
            absent = 0.0 if name.endswith((" per mm2", " share")) else np.nan
            values[i, j] = numbers.get(name, absent)
    area = np.array([areas[s] for s in found])
    return FeatureTable(tuple(found), names, values, area, source=SOURCE)
