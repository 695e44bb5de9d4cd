"""The files of relating: ``relate.csv``, the report, cases, the recipe's neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from histoprompt.core.files.atomic import replace_file, replacing_file
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.tables import table_writer
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.recipes.beside import keep_recipe
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.relate.cases import write_cases
from histoprompt.pipelines.relate.methods import methods_paragraph
from histoprompt.pipelines.relate.mixed import Mixed
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.report import write_report
from histoprompt.pipelines.relate.run import Related, relate
from histoprompt.pipelines.relate.source import placed_relate

RELATE_CSV, COLUMNS_CSV = "relate.csv", "columns.csv"
CASES_CSV, METHODS_TXT, REPORT = "cases.csv", "methods.txt", "report.html"
COLUMNS = (
    "feature", "column", "test", "n", "sites", "effect", "low", "high", "p", "q",
    "p_leave_site_out", "survives", "why",
)  # fmt: skip
# Effects are sums that are 0 to so many digits.
_DIGITS = 12
# Beside each, where a model with the site as a random effect was fitted.
MIXED_COLUMNS = ("mixed_effect", "mixed_low", "mixed_high", "mixed_p", "mixed_site_share")


def relate_into(
    project: Project, params: RelateParams, folder: Path, task: Task
) -> tuple[Related, tuple[str, ...]]:
    """Relate, and write all files with the recipe beside them.

    Parameters
    ----------
    project : Project
    params : RelateParams
    folder : Path
        Made if it is not there.
    task : Task

    Returns
    -------
    found : Related
    notes : tuple of str
        What could not be written, and why.

    Raises
    ------
    StudyError
        If features or patients cannot be used, or no column can be related to.
    ExportError
        If the folder cannot be written.
    """
    found = relate(project, params, task.part(0.0, 0.9))
    notes = write_related(found, project, folder, task.part(0.9, 1.0))
    keep_recipe(folder, [RecipeStep("relate", placed_relate(params))], {"project": project.name})
    return found, notes


def write_related(found: Related, project: Project, folder: Path, task: Task) -> tuple[str, ...]:
    """Write all files, each whole or not at all.

    Parameters
    ----------
    found : Related
    project : Project
        Of the slides that pictures are of.
    folder : Path
        Made if it is not there.
    task : Task

    Returns
    -------
    tuple of str
        What could not be written, and why.

    Raises
    ------
    ExportError
        If the folder cannot be written.
    """
    make_folder(folder)
    write_findings(folder / RELATE_CSV, found)
    _write_columns(folder / COLUMNS_CSV, found)
    _write_patients(folder / CASES_CSV, found)
    notes = write_cases(folder, found)
    replace_file(folder / METHODS_TXT, methods_paragraph(found.params, found) + "\n")
    write_report(folder / REPORT, found, project, task)
    return notes


def write_findings(path: Path, found: Related) -> None:
    """Write ``relate.csv``: a line per test; raises `ExportError`."""
    rows = (
        [
            f.tested.feature, f.tested.column, f.tested.test, f.tested.n, f.tested.sites,
            *(number(round(v, _DIGITS)) for v in (f.tested.effect, f.tested.low, f.tested.high)),
            *map(number, (f.tested.p, f.q, f.p_left_out)),
            "yes" if f.survives else "no", f.why, *_mixed(found.mixed_of(f)),
        ]
        for f in found.findings
    )  # fmt: skip
    write_table(path, (*COLUMNS, *MIXED_COLUMNS), rows, ("feature", "column", "why"))


def _mixed(model: Mixed | None) -> list[str]:
    if model is None:
        return [""] * len(MIXED_COLUMNS)
    return [*map(number, (model.effect, model.low, model.high, model.p, model.site_share))]


def write_table(
    path: Path, head: Sequence[str], rows: Iterable[Sequence[object]], names: Sequence[str]
) -> None:
    """Write a table, safe for spreadsheets; raises `ExportError`."""
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, head, names=names)
        for row in rows:
            write(row)


def number(value: float) -> str:
    """A number of a table; empty where there is none."""
    return f"{value:.6g}" if np.isfinite(value) else ""


def _write_columns(path: Path, found: Related) -> None:
    """What was recognised, to be looked at and corrected."""
    rows = [[c.name, c.kind, c.told, ""] for c in found.columns]
    rows += [[f.column, "", "", f.reason] for f in found.faults]
    names = ("column", "told", "left_out")
    write_table(path, ("column", "kind", "told", "left_out"), rows, names)


def _write_patients(path: Path, found: Related) -> None:
    """The table that was tested: a line per patient."""
    study = found.study
    head = ("patient", "slides", "site", "scanner", *(c.name for c in found.columns), *study.names)
    rows = (
        [
            study.patients[i], ";".join(study.slides[i]), study.sites[study.site[i]],
            study.scanners[study.scanner[i]],
            *(_said(c.levels, float(c.values[i])) for c in found.columns),
            *(_said(study.levels.get(n, ()), float(study.values[i, j]))
              for j, n in enumerate(study.names)),
        ]
        for i in range(len(study))
    )  # fmt: skip
    words = [c.name for c in found.columns if c.levels]
    texts = ("patient", "slides", "site", "scanner", *words, *study.levels)
    write_table(path, head, rows, texts)


def _said(levels: tuple[str, ...], value: float) -> str:
    return levels[int(value)] if levels and np.isfinite(value) else number(value)
