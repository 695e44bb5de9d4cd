"""`slides.csv`: a line per slide, to be edited by hand, by pandas and in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from histoprompt.core.errors import ProjectError, SlideError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.tables import Row, one_line, read_table
from histoprompt.core.readers.naming import result_name
from histoprompt.core.strings.names import guarded
from histoprompt.core.strings.typed_numbers import check_mpp, parse_number

SLIDES_CSV = "slides.csv"
# Columns with a meaning of their own; any further one belongs to the user.
COLUMNS = ("id", "path", "mpp", "patient", "site", "scanner", "split", "key")


@dataclass(frozen=True)
class ProjectSlide:
    """A line of the table.

    Attributes
    ----------
    id : str
        Names the slide in this project, and the folder of its results.
    path : str
        A file or folder, relative to the project or absolute, or an address; empty if the slide has
        none, as where only its numbers are known.
    mpp : float or None
        Microns per level-0 pixel as typed; None to take what the file says.
    patient, site, scanner, split : str
        Empty where they are not known.
    key : str
        `Slide.key`, by which a moved file is known again; empty until the slide was looked at.
    more : mapping of str to str
        The further columns.
    """

    id: str
    path: str = ""
    mpp: float | None = None
    patient: str = ""
    site: str = ""
    scanner: str = ""
    split: str = ""
    key: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def cell(self, column: str) -> str:
        """The text of one of its columns; empty if it has none of that name."""
        if column == "mpp":
            return "" if self.mpp is None else f"{self.mpp:.6g}"
        return str(getattr(self, column)) if column in COLUMNS else self.more.get(column, "")


@dataclass(frozen=True)
class SlideTable:
    """All lines of the table.

    Attributes
    ----------
    columns : tuple of str
        As they stand in the file.
    slides : tuple of ProjectSlide
    """

    columns: tuple[str, ...] = COLUMNS
    slides: tuple[ProjectSlide, ...] = ()

    def __len__(self) -> int:
        return len(self.slides)

    def column(self, name: str) -> list[str]:
        """A column as texts.

        Raises
        ------
        ProjectError
            If there is none of that name; the message names those there are.
        """
        if name not in self.columns:
            raise ProjectError(
                f"{SLIDES_CSV} has no column {name}. It has {', '.join(self.columns)}."
            )
        return [slide.cell(name) for slide in self.slides]

    def with_slides(self, slides: Iterable[ProjectSlide]) -> SlideTable:
        """The same columns (and those that are needed) with other lines."""
        kept = tuple(slides)
        columns = list(self.columns)
        for slide in kept:
            own = [c for c in COLUMNS if slide.cell(c)] + list(slide.more)
            columns += [c for c in own if c not in columns]
        return SlideTable(tuple(columns), kept)

    def replaced(self, slides: Mapping[str, ProjectSlide]) -> SlideTable:
        """With other lines in place of those of the same ids."""
        return self.with_slides(slides.get(s.id, s) for s in self.slides)


def read_slides(path: Path) -> SlideTable:
    """Read a table of slides, as written here, by pandas or by a spreadsheet.

    Parameters
    ----------
    path : Path
        Commas, semicolons or tabs; with or without a byte-order mark.

    Raises
    ------
    ProjectError
        If it cannot be read, lacks the column ``path``, has a column or an id twice, or an mpp that
        is no pixel size; the message names the line.
    """
    found = read_table(path, "The slides in", ProjectError)
    columns = tuple(c.lower() if c.lower() in COLUMNS else c for c in found.columns)
    if "path" not in columns and "id" not in columns:
        held = ", ".join(c or "(no name)" for c in columns[:20]) or "none"
        raise ProjectError(
            f"{path} has neither a column path nor a column id. It has the columns {held}."
        )
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    if twice:
        raise ProjectError(f"{path} has the column {', '.join(twice)} twice. Keep one of each.")
    slides: list[ProjectSlide] = []
    lines: dict[str, int] = {}
    for number, row in found.rows:
        slide = _slide(dict(zip(columns, row.values(), strict=False)), number, path)
        before = lines.setdefault(slide.id.casefold(), number)
        if before != number:
            raise ProjectError(
                f"{path} lines {before} and {number} have the same id {slide.id}. Give each slide "
                "an id of its own; small and capital letters count as the same."
            )
        slides.append(slide)
    kept = tuple(c for c in columns if c)
    return SlideTable(kept if "id" in kept else ("id", *kept), tuple(slides))


def write_slides(path: Path, table: SlideTable) -> None:
    """Write the table: commas, UTF-8, whole or not at all; raises `ExportError`."""
    text = io.StringIO(newline="")
    write = csv.writer(text, lineterminator="\n").writerow
    write(map(guarded, table.columns))
    for slide in table.slides:
        write(guarded(slide.cell(column)) for column in table.columns)
    replace_file(path, text.getvalue())


def _slide(row: Row, number: int, path: Path) -> ProjectSlide:
    where = f"{path} line {number}"
    cells = {c: one_line(v, where, ProjectError) for c, v in row.items() if c}
    own = {c: cells.get(c, "") for c in COLUMNS if c != "mpp"}
    if not own["id"]:
        own["id"] = id_of(own["path"])
    if not own["id"]:
        raise ProjectError(f"{where} has neither an id nor a path.")
    more = {c: v for c, v in cells.items() if c not in COLUMNS}
    mpp = _mpp(cells.get("mpp", ""), where)
    return ProjectSlide(
        id=own["id"], path=own["path"], mpp=mpp, patient=own["patient"], site=own["site"],
        scanner=own["scanner"], split=own["split"], key=own["key"], more=more,
    )  # fmt: skip


def id_of(path: str) -> str:
    """The id of a slide that was given none: its name without suffix."""
    return result_name(path.rstrip("/\\").replace("\\", "/").rpartition("/")[2]) if path else ""


def _mpp(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        return check_mpp(parse_number(text))
    except (ValueError, SlideError) as error:
        raise ProjectError(f"{where}: mpp is {text!r}; it must be microns per pixel.") from error


def free_id(wanted: str, taken: Iterable[str]) -> str:
    """An id that no other slide has, small and capital letters being the same."""
    number, found, others = 1, wanted, {one.casefold() for one in taken}
    while found.casefold() in others:
        number += 1
        found = f"{wanted}-{number}"
    return found
