"""A count on one page: numbers, pictures, and how they were made; one HTML file without links.

The page is made of what ``count.json`` says and of an audit, so that it can be made again whenever
one of them changes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from typing_extensions import TypedDict

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import FEW_BYTES, Count, Finite, Shape, read_json
from histoprompt.core.files.pages import page
from histoprompt.core.labels.classes import Colour, cell_colours
from histoprompt.core.stain.ihc import IhcScore
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.count.picture import Picture
from histoprompt.pipelines.count.tally import AREA_BIN, Tally, TallyRow

REPORT = "report.html"
_TEMPLATE = Path(__file__).with_name("templates") / "report.html"
# Facts that the table of how a count was made leaves out: they stand elsewhere, or say nothing.
_ELSEWHERE = ("program", "version", "notes", "polygons", "picked", "result", "by_hand")
_GRADES = ("negative", "1+", "2+", "3+")
# The histogram's place on the page, in pixels.
_WIDE, _TALL, _GROUND = 640.0, 150.0, 160.0


class _Line(TypedDict):
    """A line of the counts: the cells of one class in one place."""

    region: str
    # `class` is a word of Python, so the rest is below.
    count: Count
    share: Finite | None
    per_mm2: Finite | None
    analysed_mm2: Finite


_Lines = TypedDict("_Lines", {"class": str})


class _ClassLine(_Line, _Lines):
    """With the name of its class."""


class MethodsLine(TypedDict):
    """Counts of a class that allow for mistakes of its classifier."""

    name: str
    counted: Finite
    adjusted: Finite
    low: Finite
    high: Finite
    expected: Finite


class _Pictures(TypedDict):
    """Pictures as ``data:`` addresses."""

    overview: Annotated[str, Field(pattern=r"^data:image/png;base64,[A-Za-z0-9+/=]*$")]
    detail: Annotated[str, Field(pattern=r"^data:image/png;base64,[A-Za-z0-9+/=]*$")]


class _Result(TypedDict):
    """What ``count.json`` says of what a count came to."""

    name: str
    classes: list[str]
    palette: list[str]
    colours: NotRequired[dict[str, Annotated[list[Count], Field(min_length=3, max_length=3)]]]
    lines: list[_ClassLine]
    area_bin_um2: Finite
    areas: list[list[Count]]
    dab_grades: Annotated[list[Count], Field(min_length=4, max_length=4)]
    methods: NotRequired[list[MethodsLine]]
    warnings: list[str]
    pictures: _Pictures


class _Facts(TypedDict):
    """What the page needs of ``count.json``; all of it is shown."""

    cells: Count
    denominator: str
    analysed_mm2: Finite
    complete: bool
    tiles: Annotated[list[Count], Field(min_length=2, max_length=2)]
    picked: bool
    result: _Result


_SHAPE: Shape[_Facts] = Shape(_Facts)


def result_facts(
    name: str, tally: Tally, warnings: Sequence[str], overview: Picture, detail: Picture
) -> dict[str, Any]:
    """What a count came to, as JSON: the part of ``count.json`` that the page is drawn from.

    Parameters
    ----------
    name : str
        Of the slide.
    tally : Tally
    warnings : sequence of str
        What a reader should know.
    overview, detail : (h, w, 3) uint8
        Pictures of the region and of a part of it.
    """
    return {
        "name": name,
        "classes": list(tally.classes),
        "palette": list(tally.palette),
        "colours": {name: list(colour) for name, colour in tally.colours.items()},
        "lines": [line_facts(line) for line in tally.lines],
        "area_bin_um2": AREA_BIN,
        "areas": tally.areas.tolist(),
        "dab_grades": tally.grades.tolist(),
        "warnings": list(warnings),
        "pictures": {"overview": _address(overview), "detail": _address(detail)},
    }


def line_facts(line: TallyRow) -> dict[str, Any]:
    """A line of the counts, as JSON."""
    return {
        "region": line.region,
        "class": line.name,
        "count": line.count,
        "share": _known(line.share),
        "per_mm2": _known(line.per_mm2),
        "analysed_mm2": line.analysed_mm2,
    }


def report_facts(made: Path) -> dict[str, Any]:
    """The content of a ``count.json``.

    Raises
    ------
    LabelError
        If it is damaged, or by a version that did not keep what the page shows.
    """
    raw = read_json(made, LabelError, FEW_BYTES)
    advice = "Count the slide again to have the audit in its report."
    return {**raw, **_SHAPE.of(raw, str(made), advice=advice)}


def write_report(path: Path, facts: Mapping[str, Any], corrected: Sequence[Corrected] = ()) -> None:
    """Write ``report.html``; it holds its pictures and needs no other file.

    Parameters
    ----------
    path : Path
    facts : mapping
        The content of ``count.json``.
    corrected : sequence of Corrected
        Results of an audit; empty if there was none.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    text = page(_TEMPLATE, {**facts, **_derived(facts), "corrected": corrected})
    with replacing_file(path) as part:
        # names of files may hold bytes that are no text
        part.write_text(text, encoding="utf-8", errors="replace")


def renew_report(path: Path, made: Path, corrected: Sequence[Corrected]) -> None:
    """Write a report anew after an audit; where there is none, none is made.

    Parameters
    ----------
    path : Path
        The report.
    made : Path
        The ``count.json`` beside it.
    corrected : sequence of Corrected

    Raises
    ------
    LabelError
        If ``count.json`` is damaged, or by a version that did not keep what the page shows.
    """
    if path.is_file():
        write_report(path, report_facts(made), corrected)


def _derived(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows that follows from the facts."""
    result = facts["result"]
    given: dict[str, Colour] = {n: (r, g, b) for n, (r, g, b) in result.get("colours", {}).items()}
    colours = cell_colours(result["classes"], result["palette"], colours=given)
    areas = np.array(result["areas"], np.int64).reshape(len(result["classes"]), -1)
    return {
        "several": len({line["region"] for line in result["lines"]}) > 1,
        "colours": colours,
        "dab": _dab(result),
        "histogram": _histogram(areas, [colours[c] for c in result["classes"]], result),
        "made_with": _made_with(facts),
    }


def _dab(result: _Result) -> dict[str, Any] | None:
    """The score of an immunostain; None for what is none."""
    grades = result["dab_grades"]
    if not sum(grades) or not set(result["classes"]) & {"positive", "1+"}:
        return None
    score = IhcScore(sum(grades), (grades[0], grades[1], grades[2], grades[3]))
    return {
        "positive_fraction": score.positive_fraction,
        "h_score": score.h_score,
        "grades": list(zip(_GRADES, grades, strict=True)),
    }


def _histogram(
    areas: NDArray[np.int64], colours: Sequence[Colour], result: _Result
) -> dict[str, Any]:
    """Bars of (classes, bins) counts, the classes on top of each other."""
    total = areas.sum(axis=0)
    last = int(np.flatnonzero(total).max(initial=0)) + 1
    high, step = max(1, int(total.max(initial=0))), _WIDE / last
    bars = []
    for i in range(min(last, areas.shape[1])):
        y = _GROUND
        for count, colour in zip(areas[:, i].tolist(), colours, strict=True):
            tall = count / high * _TALL
            y -= tall
            if tall:
                wide = max(step - 1, 0.5)
                bars.append({"x": i * step, "y": y, "wide": wide, "tall": tall, "colour": colour})
    size = result["area_bin_um2"]
    return {"bars": bars, "most": high, "bin": size, "largest": last * size}


def _made_with(facts: Mapping[str, Any]) -> dict[str, str]:
    """How a count was made, in words."""
    done, total = facts["tiles"]
    shown = {
        **facts,
        "tiles": f"{done} of {total}",
        "classifier": facts.get("classifier") or "none",
    }
    return {k.replace("_", " "): _text(v) for k, v in shown.items() if k not in _ELSEWHERE}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} ({_text(what)})" for name, what in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "default" if value is None else str(value)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _address(picture: Picture) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
