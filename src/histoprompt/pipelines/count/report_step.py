"""The page of a count as a step of a recipe: with the classes and the audit of the steps before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from typing_extensions import TypedDict

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import LabelError, RecipeError
from histoprompt.core.files.documents import FEW_BYTES, Shape, read_json
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.classes.step import ALLOWED
from histoprompt.pipelines.count.audit import load_audit
from histoprompt.pipelines.count.files import CELLS_CSV
from histoprompt.pipelines.count.region import ALL
from histoprompt.pipelines.count.report import (
    REPORT,
    MethodsLine,
    line_facts,
    report_facts,
    write_report,
)
from histoprompt.pipelines.count.result_folders import MADE
from histoprompt.pipelines.count.tally import AREA_BIN, AREA_BINS, class_lines
from histoprompt.pipelines.formats.cell_files import read_cells
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


class _Allowed(TypedDict):
    """What the step before says of mistakes of the classifier."""

    methods: list[MethodsLine]


_METHODS: Shape[_Allowed] = Shape(_Allowed)
_OTHER_CELLS = "The audit is left out: it was of cells with other classes."


@dataclass(frozen=True)
class ReportParams:
    """A report has nothing to choose: it tells what the steps before it made."""


def _run(given: StepInput, params: ReportParams, folder: Path) -> StepOutput:
    counted, classified = folder.parent / "count", folder.parent / "classify" / CELLS_CSV
    if not (counted / MADE).is_file():
        raise RecipeError(f"{given.slide.name} was not counted: there is nothing to report.")
    facts = report_facts(counted / MADE)
    cells = read_cells(classified if classified.is_file() else counted / CELLS_CSV)
    if classified.is_file():
        told = _classes(facts, cells)
        told["result"] |= _allowed(classified.parent / ALLOWED)
        facts = {**facts, "classifier": "of the step classify", **told}
    corrected, notes = _audited(counted, cells)
    write_report(folder / REPORT, facts, corrected)
    return StepOutput(f"{len(cells):,} cells in {REPORT}", notes=notes)


def _allowed(path: Path) -> dict[str, Any]:
    """Counts that allow for mistakes, as the step before left them."""
    if not path.is_file():
        return {}
    return dict(_METHODS.of(read_json(path, LabelError, FEW_BYTES), str(path)))


def _classes(facts: Mapping[str, Any], cells: CellTable) -> dict[str, Any]:
    """What of the facts of a count follows from the classes of its cells."""
    names, result = cells.classes, facts["result"]
    lines = []
    for place, inside in _places(facts, cells):
        counts = np.bincount(cells.code[inside], minlength=len(names)).astype(np.int64)
        was = next(x for x in result["lines"] if (x["region"], x["class"]) == (place, ALL))
        # the area of a place with its glass is not on the page
        lines += class_lines(place, names, counts, (was["analysed_mm2"], was["analysed_mm2"]))
    areas = np.zeros((len(names), AREA_BINS), np.int64)
    bins = np.minimum(cells.area_um2 // AREA_BIN, AREA_BINS - 1).astype(np.int64)
    np.add.at(areas, (cells.code, bins), 1)
    told = {"classes": list(names), "palette": list(names), "areas": areas.tolist()}
    told |= {"lines": [line_facts(line) for line in lines]}
    return {"result": {**result, **told, "colours": {}}}


def _places(facts: Mapping[str, Any], cells: CellTable) -> list[tuple[str, NDArray[np.bool_]]]:
    """All, then the drawn regions, each with the cells whose centre lies in it."""
    x, y = cells.col + 0.5, cells.row + 0.5
    drawn = [(name, shapely.from_wkt(text)) for name, text in facts.get("polygons", ())]
    found = [(name, shapely.contains_xy(polygon, x, y)) for name, polygon in drawn]
    return [(ALL, np.ones(len(cells), bool)), *found]


def _audited(counted: Path, cells: CellTable) -> tuple[tuple[Corrected, ...], tuple[str, ...]]:
    """The results of an audit whose fields were looked at, where it is of these classes."""
    audit = load_audit(counted)
    if audit is None or not audit.seen:
        return (), ()
    if not audit.fits(replace(cells)):
        return (), (_OTHER_CELLS,)
    return tuple(audit.corrected()), ()


STEP = Step(
    "report",
    "makes the page of a count, with the classes and the audit there are",
    ReportParams,
    _run,
    lambda _: (),
    lambda _: "Counts were reported with their classes and, where they were audited, intervals.",
    after=("count",),
)
