"""One table over all slides of a project: what was counted, on which area, by what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histoprompt.core.errors import ExportError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import read_table, table_writer
from histoprompt.pipelines.count.files import COUNTS_CSV
from histoprompt.pipelines.count.out_folders import MADE
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.project.status import COUNT, read_facts
from histoprompt.pipelines.project.table import ProjectSlide

SUMMARY_CSV, SUMMARY_PARQUET = "summary.csv", "summary.parquet"
_NUMBERS = ("count", "per_mm2", "analysed_mm2", "share", "estimate", "low", "high", "region_mm2")
_FACTS = ("complete", "segmenter", "classifier", "histoprompt", "seconds")


def write_summary(project: Project, folder: Path | None = None) -> tuple[Path, int]:
    """Write ``summary.csv`` and ``summary.parquet``: a line per slide, region and class.

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
    rows = [row for slide in project.slides for row in _rows(project, slide)]
    if not rows:
        raise ExportError(f"No slide of {project.name} was counted yet. Count first.")
    own = [c for c in project.table.columns if c not in ("path", "key", "mpp")]
    columns = [*own, "region", "class", *_NUMBERS, "denominator", *_FACTS, "notes"]
    texts = [c for c in columns if c not in _NUMBERS]
    path = folder / SUMMARY_CSV
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, columns, names=texts)
        for row in rows:
            write("" if row.get(c) is None else row[c] for c in columns)
    frame = pd.DataFrame(rows, columns=columns)
    with replacing_file(folder / SUMMARY_PARQUET) as part:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), part)
    return path, len(rows)


def _rows(project: Project, slide: ProjectSlide) -> Iterator[dict[str, Any]]:
    folder = project.results(slide) / COUNT
    made = read_facts(folder / MADE)
    if not made or not (folder / COUNTS_CSV).is_file():
        return
    facts = {name: made.get(name) for name in _FACTS}
    facts["complete"] = "yes" if made.get("complete") else "no"
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
