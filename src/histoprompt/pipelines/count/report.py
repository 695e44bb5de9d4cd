"""A count on one page: numbers, pictures, and how they were made; one HTML file without links."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoprompt.core.errors import LabelError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import MANY_BYTES, read_text
from histoprompt.core.labels.classes import Colour, cell_colours
from histoprompt.pipelines.audit.estimate import Corrected
from histoprompt.pipelines.count.hand_work import NOTHING_CORRECTED, HandTally
from histoprompt.pipelines.count.picture import Picture
from histoprompt.pipelines.count.tally import AREA_BIN, Line, Tally

REPORT = "report.html"
_AUDIT = re.compile(r'<section id="audit">.*?</section>', re.DOTALL)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left }
td.n, th.n { text-align: right } tr { border-bottom: 1px solid #ddd }
img { max-width: 100%; image-rendering: auto } .warn { background: #fff3cd; padding: .5rem .8rem }
i.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem }
"""


@dataclass(frozen=True, eq=False)
class ReportParts:
    """What the page shows.

    Attributes
    ----------
    title : str
        The slide's name.
    tally : Tally
    denominator : str
        What densities are divided by.
    overview, detail : (h, w, 3) uint8
    made_with : mapping of str to str
        How it was made, in words, in the order to be shown.
    warnings : sequence of str
    corrected : sequence of Corrected
        Results of an audit; empty if there was none.
    incomplete : str
        Empty for a complete count; else how much is missing.
    pale : bool
        Whether what is left out is pale in the overview.
    by_hand : HandTally
        What a person corrected.
    """

    title: str
    tally: Tally
    denominator: str
    overview: Picture
    detail: Picture
    made_with: Mapping[str, str]
    warnings: Sequence[str] = ()
    corrected: Sequence[Corrected] = ()
    incomplete: str = ""
    pale: bool = False
    by_hand: HandTally = NOTHING_CORRECTED


def write_report(path: Path, parts: ReportParts) -> None:
    """Write ``report.html``; it holds its pictures and needs no other file."""
    with replacing_file(path) as part:
        # names of files may hold bytes that are no text
        part.write_text("\n".join(_page(parts)) + "\n", encoding="utf-8", errors="replace")


def put_audit(path: Path, corrected: Sequence[Corrected]) -> None:
    """Put the results of an audit into a report that was written before; no report, no change."""
    if path.is_file():
        text = read_text(path, LabelError, MANY_BYTES)
        page = _AUDIT.sub(lambda _: _audit(corrected), text, count=1)
        with replacing_file(path) as part:
            part.write_text(page, encoding="utf-8")


def _page(parts: ReportParts) -> Iterable[str]:
    title = escape(parts.title)
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Count of {title}</title>'
    yield f"<style>{_STYLE}</style><h1>Count of {title}</h1>"
    if parts.incomplete:
        yield f'<p class="warn"><b>Partial.</b> {escape(parts.incomplete)}</p>'
    yield from (f'<p class="warn">{escape(text)}</p>' for text in parts.warnings)
    yield from _counts(parts)
    yield _audit(parts.corrected)
    yield from _ihc(parts.tally)
    yield "<h2>Area of the cells</h2>"
    yield _histogram(parts.tally)
    yield "<h2>The region</h2>" + _img(parts.overview, "the region with its cells")
    yield "<p>What is left out of a whole slide is pale.</p>" if parts.pale else ""
    yield "<h2>Where cells are densest</h2>" + _img(parts.detail, "a part of it, pixel by pixel")
    yield "<h2>How it was made</h2>" + _table([("", "")], parts.made_with.items())


def _counts(parts: ReportParts) -> Iterable[str]:
    colours, lines = cell_colours(parts.tally.classes, parts.tally.palette), parts.tally.lines
    shares = " Shares are of all cells, unsure ones too." if len(parts.tally.classes) > 1 else ""
    yield (
        f"<h2>Counts</h2><p>Densities are cells per mm² of {escape(parts.denominator)}.{shares}</p>"
    )
    if parts.by_hand.touched:
        told = str(parts.by_hand)
        yield f"<p><b>{told[:1].upper()}{told[1:]}</b> ({parts.by_hand.found:,} cells found).</p>"
    several = len({line.region for line in lines}) > 1
    head = ["region"] * several + ["class", "cells", "share", "per mm²", "mm² analysed"]
    rows = [[escape(x.region)] * several + _row(x, colours) for x in lines]
    numeric = [False] * (1 + several) + [True] * 4
    yield _rows(head, rows, numeric)


def _row(line: Line, colours: Mapping[str, Colour]) -> list[str]:
    key = ""
    if line.name in colours:
        key = f'<i class="key" style="background:rgb{colours[line.name]}"></i>'
    share = "" if np.isnan(line.share) else f"{line.share:.1%}"
    density = "" if np.isnan(line.per_mm2) else f"{line.per_mm2:,.1f}"
    return [key + escape(line.name), f"{line.count:,}", share, density, f"{line.analysed_mm2:.4f}"]


def _audit(corrected: Sequence[Corrected]) -> str:
    """What an audit found; an empty section keeps its place."""
    if not corrected:
        return '<section id="audit"></section>'
    fields = corrected[0].fields
    told = (
        f"<h2>Corrected counts</h2><p>{fields} randomly chosen field{'s' * (fields > 1)} "
        f"{'were' if fields > 1 else 'was'} audited by eye. In 95 of 100 such audits the interval "
        "holds the true count.</p>"
    )
    rows = [
        [escape(c.name or "cells"), f"{c.found:,}", *_ends(c), escape(c.note)] for c in corrected
    ]
    head = ["class", "found", "corrected", "95 % interval", ""]
    table = _rows(head, rows, [False, True, True, True, False])
    return f'<section id="audit">{told}{table}</section>'


def _ends(count: Corrected) -> tuple[str, str]:
    """A corrected count and its interval in words."""
    if count.low is None or count.high is None:
        return f"{count.estimate:,.0f}", "none"
    return f"{count.estimate:,.0f}", f"{count.low:,.0f} to {count.high:,.0f}"


def _ihc(tally: Tally) -> Iterable[str]:
    if set(tally.classes) & {"positive", "1+"} and tally.ihc.cells:
        grades = ", ".join(
            f"{n:,} {g}"
            for g, n in zip(("negative", "1+", "2+", "3+"), tally.ihc.grades, strict=True)
        )
        yield (
            f"<p>DAB: {tally.ihc.positive_fraction:.1%} of cells positive, "
            f"H-score {tally.ihc.h_score:.0f} ({grades}).</p>"
        )


def _histogram(tally: Tally) -> str:
    """Bars a class, stacked."""
    total, palette = tally.areas.sum(axis=0), cell_colours(tally.classes, tally.palette)
    colours = [palette[name] for name in tally.classes]
    last = int(np.flatnonzero(total).max(initial=0)) + 1
    high, bar = max(1, int(total.max(initial=0))), 640 / last
    marks = []
    for i in range(last):
        y = 160.0
        for counts, colour in zip(tally.areas, colours, strict=True):
            tall = float(counts[i]) / high * 150
            y -= tall
            marks.append(_bar(i * bar, y, bar - 1, tall, colour))
    axis = (
        f'<text x="0" y="178">0</text><text x="640" y="178" text-anchor="end">'
        f"{last * AREA_BIN:g} µm²</text>"
        f'<text x="640" y="12" text-anchor="end">most: {high:,} cells in {AREA_BIN:g} µm²</text>'
    )
    return f'<svg viewBox="0 0 640 184" width="640" font-size="12">{"".join(marks)}{axis}</svg>'


def _bar(x: float, y: float, wide: float, tall: float, colour: Colour) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0.5):.1f}" height="{tall:.1f}"'
    return f'<rect {place} fill="rgb{colour}"/>' if tall else ""


def _img(picture: NDArray[np.uint8], text: str) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<p><img alt="{text}" src="data:image/png;base64,{data}"></p>'


def _table(_: object, items: Iterable[tuple[str, str]]) -> str:
    rows = [[escape(name), escape(value)] for name, value in items]
    return _rows([], rows, [False, False])


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    kinds = [' class="n"' if n else "" for n in numeric]
    lines = [[f"<td{k}>{c}</td>" for c, k in zip(row, kinds, strict=True)] for row in rows]
    if head:
        lines.insert(0, [f"<th{k}>{c}</th>" for c, k in zip(head, kinds, strict=True)])
    return "<table>" + "".join(f"<tr>{''.join(line)}</tr>" for line in lines) + "</table>"
