"""`tags.csv`: a line per candidate, what words said of it and what a person did."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

from histoprompt.core.errors import RecordError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.tables import Row, read_table, table_writer
from histoprompt.core.strings.names import plain
from histoprompt.core.strings.typed_numbers import parse_number

TAGS_CSV: Final = "tags.csv"
Answer = Literal["", "accept", "fix", "reject", "unsure"]
ANSWERS: Final[tuple[str, ...]] = get_args(Answer)
# Answers after which a candidate's tag is a person's word.
DECIDED: Final = ("accept", "fix", "reject")
_NAMES: Final = ("slide", "tag", "wording", "reason", "header", "reviewer")


@dataclass(frozen=True)
class TagRow:
    """A line of the table; its fields are the columns.

    Attributes
    ----------
    id : int
        From 1, over all slides.
    slide : str
    row, col : float
        Centre, level-0 pixels.
    tag : str
        As words proposed it, or as a person put it right; empty for no tag.
    wording : str
        The wording that fits best.
    votes : int
        For the tag that words proposed.
    entropy : float
        Of all votes, 0 to 1.
    cluster_agrees : bool
    score : float
        Probability of the tag, mean over the votes.
    kept : bool
        Whether the filter kept it.
    reason : str
        Why it was dropped.
    header : str
    reviewed : {"", "accept", "fix", "reject", "unsure"}
    reviewer : str
    """

    id: int
    slide: str
    row: float
    col: float
    tag: str
    wording: str
    votes: int
    entropy: float
    cluster_agrees: bool
    score: float
    kept: bool
    reason: str
    header: str
    reviewed: Answer = ""
    reviewer: str = ""

    @property
    def source(self) -> str:
        """Who says its tag: machine or human."""
        return "human" if self.reviewed in DECIDED else "machine"

    @property
    def label(self) -> str:
        """The tag it is used with; empty for none: dropped, rejected, not sure or without tag."""
        if self.reviewed in ("accept", "fix"):
            return self.tag
        return self.tag if self.kept and not self.reviewed else ""


COLUMNS: Final = tuple(one.name for one in fields(TagRow))


def write_rows(path: Path, rows: Sequence[TagRow]) -> None:
    """Write the table, whole or not at all; raises `ExportError`."""
    text = io.StringIO(newline="")
    write = table_writer(text, COLUMNS, _NAMES)
    for row in rows:
        write(
            [
                row.id, row.slide, f"{row.row:.1f}", f"{row.col:.1f}", row.tag, row.wording,
                row.votes, f"{row.entropy:.4f}", _said(row.cluster_agrees), f"{row.score:.4f}",
                _said(row.kept), row.reason, row.header, row.reviewed, row.reviewer,
            ]
        )  # fmt: skip
    replace_file(path, text.getvalue())


def read_rows(path: Path) -> tuple[TagRow, ...]:
    """Read the table.

    Raises
    ------
    RecordError
        If it is missing, damaged, or an id comes twice; the message names the line.
    """
    if not path.is_file():
        raise RecordError(f"{path.parent} holds no {path.name}. Tag slides into it first.")
    table = read_table(path, "The tags in", RecordError, COLUMNS)
    rows = tuple(_row(cells, f"{path} line {number}") for number, cells in table.rows)
    if len({row.id for row in rows}) < len(rows):
        raise RecordError(f"{path} has an id twice. Take the second line out.")
    return rows


def _row(cells: Row, where: str) -> TagRow:
    answer = cells["reviewed"]
    if answer not in ANSWERS:
        raise RecordError(f"{where}: reviewed is {answer!r}; it must be accept, fix or reject.")
    try:
        numbers = {name: parse_number(cells[name]) for name in ("row", "col", "entropy", "score")}
        return TagRow(
            id=int(cells["id"]), slide=cells["slide"], row=numbers["row"], col=numbers["col"],
            tag=plain(cells["tag"]), wording=cells["wording"], votes=int(cells["votes"]),
            entropy=numbers["entropy"], cluster_agrees=_read(cells["cluster_agrees"]),
            score=numbers["score"], kept=_read(cells["kept"]), reason=cells["reason"],
            header=cells["header"], reviewed=answer,  # type: ignore[arg-type]
            reviewer=cells["reviewer"],
        )  # fmt: skip
    except ValueError as error:
        raise RecordError(f"{where}: {error}.") from error


def _said(value: bool) -> str:
    return "true" if value else "false"


def _read(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError(f"{cell!r} is neither true nor false")
    return cell.lower() == "true"
