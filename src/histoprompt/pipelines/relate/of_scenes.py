"""Features that scenes of a project's slides give: the share of the tissue that each takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histoprompt.core.errors import StudyError
from histoprompt.core.files.tables import read_table
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.features import FeatureTable

SCENES_CSV = "scenes.csv"
_NEED = ("slide", "scene", "name", "tiles", "mm2")


def scene_features(project: Project) -> FeatureTable:
    """Shares of scenes per slide, from the newest ``scenes.csv`` in the project.

    Raises
    ------
    StudyError
        If there is none, or it cannot be read.
    """
    found = newest_scenes(project)
    if found is None:
        raise StudyError(
            f"{project.name} has no {SCENES_CSV}. Group the tiles of its slides first."
        )
    return read_scenes(found)


def newest_scenes(project: Project) -> Path | None:
    """The newest ``scenes.csv`` in a project or a folder of it; None if there is none."""
    places = [project.folder / SCENES_CSV, *project.folder.glob(f"*/{SCENES_CSV}")]
    there = [p for p in places if p.is_file()]
    return max(there, key=lambda p: p.stat().st_mtime) if there else None


def read_scenes(path: Path) -> FeatureTable:
    """Shares of scenes per slide; raises `StudyError` if the file is none of scenes."""
    areas: dict[str, dict[str, float]] = {}
    for number, row in read_table(path, "The scenes in", StudyError, _NEED).rows:
        name = row["name"] or f"scene {row['scene']}"
        try:
            mm2, tiles = float(row["mm2"] or "nan"), float(row["tiles"] or 0)
        except ValueError as error:
            raise StudyError(f"{path} line {number}: mm2 and tiles must be numbers.") from error
        of = areas.setdefault(row["slide"], {})
        of[name] = of.get(name, 0.0) + (mm2 if np.isfinite(mm2) else tiles)
    if not areas:
        raise StudyError(f"{path} has no scenes below its header.")
    names = tuple(dict.fromkeys(n for of in areas.values() for n in of))
    total = np.array([sum(of.values()) for of in areas.values()])
    values = np.array([[of.get(n, 0.0) for n in names] for of in areas.values()])
    shares = values / np.maximum(total, 1e-12)[:, None]
    return FeatureTable(tuple(areas), names, shares, total, source=path.name)
