"""One table over all slides of a project: what was counted, on which area, by what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histoprompt.core.errors import ExportError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import read_table, table_writer
from histoprompt.pipelines.count.files import COUNTS_CSV
from histoprompt.pipelines.count.result_folders import COUNT, facts_of
from histoprompt.pipelines.count.store_files import read_settings
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.table import ProjectSlide
from histoprompt.pipelines.recipes.run import RUN_JSON

SUMMARY_CSV, SUMMARY_PARQUET = "summary.csv", "summary.parquet"
_NUMBERS = ("count", "per_mm2", "analysed_mm2", "share", "estimate", "low", "high", "region_mm2")
# Shares of the counted place: how much of it is tissue, and what else it is.
_QC = ("tissue", "glass", "pen", "blur")
SCENES_CSV = "scenes.csv"
_FACTS = ("complete", "segmenter", "classifier", "histoprompt", "seconds")
_RUNS = (Path(RUN_JSON), Path("run", RUN_JSON))


def write_summary(project: Project, folder: Path | None = None) -> tuple[Path, int]:
    """Write ``summary.csv`` and ``summary.parquet``: a line per slide, region and class.

    Each line has the columns of the table of slides, counts and densities, the quality of the
    place, the scenes of the slide where there are any, seconds and versions.

    Parameters
    ----------
    project : Project
    folder : Path, optional
        The project's own if not given.

    Returns
    -------
    path : Path
        Of the CSV file.
    rows : int

    Raises
    ------
    ExportError
        If they cannot be written, or nothing was counted yet.
    """
    folder = folder or project.folder
    seconds, scenes = _seconds(project), _scenes(project)
    rows = [
        row | scenes.get(slide.id, {})
        for slide in project.slides
        for row in _rows(project, slide, seconds)
    ]
    if not rows:
        raise ExportError(f"No slide of {project.name} was counted yet. Count first.")
    own = [c for c in project.table.columns if c not in ("path", "key", "mpp")]
    shares = [f"qc_{name}" for name in _QC]
    shares += dict.fromkeys(name for of in scenes.values() for name in of)
    columns = [*own, "region", "class", *_NUMBERS, "denominator", *shares, *_FACTS, "notes"]
    texts = [c for c in columns if c not in (*_NUMBERS, *shares, "seconds")]
    path = folder / SUMMARY_CSV
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, columns, names=texts)
        for row in rows:
            write("" if row.get(c) is None else row[c] for c in columns)
    frame = pd.DataFrame(rows, columns=columns)
    with replacing_file(folder / SUMMARY_PARQUET) as part:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), part)
    return path, len(rows)


def _seconds(project: Project) -> dict[str, float]:
    """How long the last runs on the project worked on each slide; what was done before takes none.

    A run of one recipe tells of it, so later ones go before.
    """
    found: dict[str, float] = {}
    runs = [p for p in (project.folder / one for one in _RUNS) if p.is_file()]
    for path in sorted(runs, key=lambda p: p.stat().st_mtime):
        told = read_settings(path)
        for one in told if isinstance(told, list) else []:
            if isinstance(one, dict) and isinstance(one.get("seconds"), int | float):
                found[str(one.get("name"))] = round(float(one["seconds"]), 1)
    return found


def _scenes(project: Project) -> dict[str, dict[str, float]]:
    """Square millimetres of each scene by slide, from the newest table of scenes in the project."""
    places = [project.folder / SCENES_CSV, *project.folder.glob(f"*/{SCENES_CSV}")]
    there = [path for path in places if path.is_file()]
    found: dict[str, dict[str, float]] = {}
    if there:
        newest = max(there, key=lambda path: path.stat().st_mtime)
        for _, row in read_table(newest, "The scenes in", ExportError, ("slide", "scene")).rows:
            name = f"scene_mm2_{row.get('name') or row['scene']}"
            of = found.setdefault(row["slide"], {})
            of[name] = of.get(name, 0.0) + (_number(row.get("mm2", "")) or 0.0)
    return found


def _rows(
    project: Project, slide: ProjectSlide, seconds: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    folder = project.results(slide) / COUNT
    made = facts_of(folder)
    if not made or not (folder / COUNTS_CSV).is_file():
        return
    facts = {name: made.get(name) for name in _FACTS}
    facts["complete"] = "yes" if made.get("complete") else "no"
    facts["seconds"] = seconds.get(slide.id)
    shares = made.get("shares")
    shares = shares if isinstance(shares, dict) else {}
    facts |= {f"qc_{name}": shares.get(name) for name in _QC}
    notes = " | ".join(map(str, made.get("notes", ())))
    own = {c: slide.cell(c) for c in project.table.columns}
    table = read_table(folder / COUNTS_CSV, "The counts in", ExportError, ("class", "count"))
    for _, cells in table.rows:
        numbers = {name: _number(cells.get(name, "")) for name in _NUMBERS}
        words = {name: cells.get(name, "") for name in ("region", "class", "denominator")}
        yield {**own, **words, **numbers, **facts, "notes": notes}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
