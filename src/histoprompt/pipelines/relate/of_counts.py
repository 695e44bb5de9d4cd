"""Features that counts of a project's slides give: densities, shares and sizes of cells.

Of the whole count, and of each region that at least half of the slides have by the same name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import StudyError
from histoprompt.core.files.tables import read_table
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.count.counted_folder import read_counted
from histoprompt.pipelines.count.files import CELLS_PARQUET, COUNTS_CSV
from histoprompt.pipelines.count.region import ALL
from histoprompt.pipelines.count.result_folders import COUNT, facts_of
from histoprompt.pipelines.count.spatial.places import region_features, within
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.relate.features import FeatureTable

SOURCE = "counts"
# Between the name of a region and that of a number.
OF_REGION = " | "


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
            if not facts_of(folder).get("complete", True):
                partial.append(slide.id)
                continue
            numbers, areas[slide.id] = _densities(folder / COUNTS_CSV)
            found[slide.id] = numbers | _of_cells(folder, slide, radius)
    task.step(len(project), len(project), "Reading counts", "slide")
    if not found:
        raise StudyError(
            f"No slide of {project.name} was counted yet. Count first, or relate features of "
            "your own."
        )
    found, rare = _common_regions(found)
    notes = []
    if partial:
        notes.append(
            f"Left out: {many(len(partial), 'slide')} counted in part only "
            f"({', '.join(partial[:3])})."
        )
    if rare:
        notes.append(
            f"No features by themselves: {many(len(rare), 'region')} on fewer than half of the "
            f"slides ({', '.join(rare[:3])})."
        )
    return replace(_table(found, areas), notes=tuple(notes))


def _densities(path: Path) -> tuple[dict[str, float], float]:
    """Per place and class, and the mm² that were analysed."""
    need = ("class", "count", "per_mm2", "analysed_mm2", "share", "region")
    numbers: dict[str, float] = {}
    area = float("nan")
    for _, row in read_table(path, "The counts in", StudyError, need).rows:
        name = _placed(row["region"], row["class"] or "unclassified")
        numbers[f"{name} per mm2"] = _number(row["per_mm2"])
        if row["class"] != ALL:
            numbers[f"{name} share"] = _number(row["share"])
        if row["region"] == ALL:
            area = _number(row["analysed_mm2"])
    return numbers, area


def _placed(region: str, name: str) -> str:
    return name if region == ALL else f"{region}{OF_REGION}{name}"


def _of_cells(folder: Path, slide: ProjectSlide, radius: float) -> dict[str, float]:
    """Sizes of cells, and how they lie, in the whole count and in each region."""
    if not (folder / CELLS_PARQUET).is_file():
        return {}
    counted = read_counted(folder)
    mpp = slide.mpp or counted.mpp
    numbers: dict[str, float] = {}
    for region in (None, *counted.regions):
        cells = counted.cells if region is None else within(counted.cells, region)
        of = _sizes(cells)
        if mpp:  # how far cells lie is not known without
            of |= region_features(cells, mpp, region, radius)
        numbers |= {_placed(ALL if region is None else region.name, k): v for k, v in of.items()}
    return numbers


def _sizes(cells: CellTable) -> dict[str, float]:
    """Mean and spread of the areas of cells, of all and of each class."""
    numbers = {}
    for code, name in ((None, ALL), *enumerate(cells.classes)):
        area = cells.area_um2 if code is None else cells.area_um2[cells.code == code]
        area = area[np.isfinite(area)]
        if len(area) > 1 and name:
            numbers[f"{name} mean area um2"] = float(area.mean())
            numbers[f"{name} sd of area um2"] = float(area.std(ddof=1))
    return numbers


def _common_regions(
    found: dict[str, dict[str, float]],
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Without the numbers of regions that few slides have, and the names of these."""
    regions = [{n.split(OF_REGION)[0] for n in of if OF_REGION in n} for of in found.values()]
    many = Counter(name for names in regions for name in names)
    rare = sorted(name for name, n in many.items() if 2 * n < len(found))
    kept = {
        slide: {n: v for n, v in of.items() if n.split(OF_REGION)[0] not in rare}
        for slide, of in found.items()
    }
    return kept, rare


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
            # no cell of a class in a place that was counted is a density of 0; its size is not
            # known
            place = name.rpartition(OF_REGION)[0]
            counted = not place or any(n.startswith(place + OF_REGION) for n in numbers)
            none = counted and name.endswith((" per mm2", " share"))
            absent = 0.0 if none else np.nan
            values[i, j] = numbers.get(name, absent)
    area = np.array([areas[s] for s in found])
    return FeatureTable(tuple(found), names, values, area, source=SOURCE)
