"""`pairs.csv`: places on slides, whose they are, and sentences about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from histoprompt.core.errors import LabelError
from histoprompt.core.files.tables import Row, TextTable, one_line, read_table
from histoprompt.core.geometry import Box
from histoprompt.core.strings.addresses import is_address
from histoprompt.core.strings.typed_numbers import parse_number
from histoprompt.pipelines.project.project import open_project
from histoprompt.pipelines.project.table import ProjectSlide

_SENTENCES: Final = ("sentences", "sentence", "text", "texts", "caption", "captions")
_CORNERS: Final = ("r0", "c0", "r1", "c1")
FEWEST_PAIRS: Final = 20
_MANY: Final = 5


@dataclass(frozen=True)
class Pair:
    """A place and what is said of it.

    Attributes
    ----------
    slide : str
        Path or address.
    box : Box or None
        Level-0 pixels; None where a region says it, or for the whole slide.
    region : str
        A GeoJSON file, with ``#name`` for one of its regions; empty for none.
    patient, site : str
    sentences : tuple of str
    line : int
        Of the table.
    mpp : float or None
        As the table of the project says.
    """

    slide: str
    box: Box | None
    region: str
    patient: str
    site: str
    sentences: tuple[str, ...]
    line: int
    mpp: float | None = None


def read_pairs(path: Path, known: Mapping[str, ProjectSlide] | None = None) -> tuple[Pair, ...]:
    """Read pairs.

    Parameters
    ----------
    path : Path
        A table with slide, patient and sentences (bars between several); box as ``r0,c0,r1,c1``, or
        four columns of these names, or region; site if known. Paths are relative to it.
    known : mapping of str to ProjectSlide, optional
        Slides of a project by id; their patient and site stand in where the table has none.

    Raises
    ------
    LabelError
        If it cannot be read, a slide is not there, a line has no sentence or no patient, all are of
        one patient, or there are too few; the message names the lines.
    """
    table = read_table(path, "The pairs in", LabelError, ("slide",), fold=True)
    column = next((name for name in _SENTENCES if name in table.columns), None)
    if column is None:
        raise LabelError(
            f"{path} has no column sentences. It needs slide, box or region, patient and sentences."
        )
    if "patient" not in table.columns and not known:
        raise LabelError(
            f"{path} has no column patient. What is tested must not be learnt from, so that "
            "patients have to be known."
        )
    pairs = tuple(
        _pair(cells, f"{path} line {number}", (number, column), (path.parent, known or {}))
        for number, cells in table.rows
    )
    _check_slides(pairs, path)
    _check_patients(pairs, path, table)
    return pairs


def project_slides(project: Path | None) -> dict[str, ProjectSlide]:
    """The slides of a project by id, with paths that hold anywhere; none without a project."""
    if project is None:
        return {}
    found = open_project(project)
    return {slide.id: replace(slide, path=found.place(slide)) for slide in found.slides}


def _pair(
    cells: Row,
    where: str,
    place: tuple[int, str],
    given: tuple[Path, Mapping[str, ProjectSlide]],
) -> Pair:
    (number, column), (folder, known) = place, given
    name = one_line(cells["slide"], where, LabelError)
    slide = known.get(name)
    patient = cells.get("patient", "") or (slide.patient or slide.id if slide else "")
    site = cells.get("site", "") or (slide.site if slide else "")
    sentences = tuple(" ".join(s.split()) for s in cells[column].split("|") if s.split())
    if not name or not patient or not sentences:
        lacks = "slide" if not name else "patient" if not patient else "sentence"
        raise LabelError(f"{where} has no {lacks}.")
    path = slide.path if slide else name
    if not is_address(path) and not Path(path).is_absolute():
        path = str(folder / path)
    return Pair(
        path, _box(cells, where), cells.get("region", ""), patient, site, sentences, number,
        slide.mpp if slide else None,
    )  # fmt: skip


def _box(cells: Row, where: str) -> Box | None:
    text = cells.get("box", "")
    parts = text.replace(";", ",").split(",") if text else [cells.get(c, "") for c in _CORNERS]
    if not any(part.strip() for part in parts):
        return None
    try:
        r0, c0, r1, c1 = (int(parse_number(part)) for part in parts)
        return Box(r0, c0, r1, c1)
    except (ValueError, TypeError) as error:
        raise LabelError(
            f"{where}: the box is {text or ','.join(parts)!r}; it must be r0,c0,r1,c1 in level-0 "
            "pixels."
        ) from error


def _check_slides(pairs: tuple[Pair, ...], path: Path) -> None:
    gone = {
        pair.slide: pair.line
        for pair in reversed(pairs)
        if not is_address(pair.slide) and not Path(pair.slide).exists()
    }
    if gone:
        first = min(gone, key=lambda slide: gone[slide])
        raise LabelError(
            f"{path} names {len(gone):,} slide{'s that are' if len(gone) > 1 else ' that is'} not "
            f"there, such as {first} (line {gone[first]}). Paths are relative to the table; ids "
            "need the project they are of."
        )


def _check_patients(pairs: tuple[Pair, ...], path: Path, table: TextTable) -> None:
    patients = Counter(pair.patient for pair in pairs)
    if len(pairs) < FEWEST_PAIRS:
        raise LabelError(
            f"{path} has {len(pairs)} pairs; {FEWEST_PAIRS} are the least that say anything."
        )
    if len(patients) < 2:
        raise LabelError(
            f"All {len(pairs)} pairs of {path} are of one patient, {next(iter(patients))}. What is "
            "tested must not be learnt from: add pairs of other patients."
        )
    if len({pair.sentences for pair in pairs}) < 2:
        raise LabelError(f"All {len(pairs)} pairs of {path} say the same. Nothing can be learnt.")
