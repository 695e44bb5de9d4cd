"""What a person says of proposals: taken in from a table, kept, and what it says of the tags."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from histoprompt.core.errors import RecordError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.tables import Row, one_line, read_table, table_writer
from histoprompt.core.strings.names import tidy
from histoprompt.pipelines.tags.records import Answer, TagRow

REVIEWS_CSV: Final = "reviews.csv"
_COLUMNS: Final = ("id", "answer", "tag", "reviewer")
_ANSWER_COLUMNS: Final = ("answer", "reviewed", "review", "action", "decision")
_WORDS: Final[dict[str, Answer]] = {
    "a": "accept", "accept": "accept", "accepted": "accept", "yes": "accept",
    "f": "fix", "fix": "fix", "fixed": "fix",
    "r": "reject", "reject": "reject", "rejected": "reject", "no": "reject",
    "u": "unsure", "unsure": "unsure", "open": "",
}  # fmt: skip
Z: Final = 1.96
# Looks before it is said that a tag is not worth more: those that disagree come first.
_FEWEST: Final = 10


@dataclass(frozen=True)
class ReviewAnswer:
    """An answer to one proposal.

    Attributes
    ----------
    id : int
    answer : str
        accept, fix, reject or unsure; empty takes an earlier one back.
    tag : str
        The right tag, for fix.
    reviewer : str
    """

    id: int
    answer: Answer
    tag: str = ""
    reviewer: str = ""


@dataclass(frozen=True)
class Precision:
    """How often words were right about a tag, as far as people looked.

    Attributes
    ----------
    tag : str
    right, looked : int
        Proposals accepted, and those that were accepted, fixed or rejected.
    low, high : float
        95 % interval of Wilson, "Probable inference, the law of succession, and statistical
        inference", JASA 22 (1927) 209-212.
    left : int
        Kept proposals nobody looked at.
    """

    tag: str
    right: int
    looked: int
    low: float
    high: float
    left: int

    @property
    def share(self) -> float:
        """Of the proposals looked at, those that are right; NaN for none."""
        return self.right / self.looked if self.looked else float("nan")

    def hint(self, aim: float) -> str:
        """Whether to go on, a sentence."""
        if not self.looked:
            return "nobody looked yet"
        if self.low >= aim:
            return f"enough: the interval lies above {aim:.0%}"
        if self.high < aim and (self.looked >= _FEWEST or not self.left):
            return f"stop: the interval lies below {aim:.0%}; better wordings help more"
        if not self.left:
            return "all were looked at"
        needed = _needed(self.share, aim)
        more = min(max(1, needed - self.looked), self.left) if needed else self.left
        return f"go on: some {more} more"


def wilson(right: int, looked: int) -> tuple[float, float]:
    """The 95 % interval of a share; (0, 1) where nobody looked."""
    if not looked:
        return 0.0, 1.0
    share, z2 = right / looked, Z * Z
    middle = share + z2 / (2 * looked)
    half = Z * (share * (1 - share) / looked + z2 / (4 * looked * looked)) ** 0.5
    whole = 1 + z2 / looked
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def _needed(share: float, aim: float) -> int:
    """How many looks at this share put the interval above the aim; 0 if none would."""
    return next((n for n in range(5, 5000, 5) if wilson(round(share * n), n)[0] >= aim), 0)


def precisions(
    rows: Sequence[TagRow], proposed: Mapping[int, str], tags: Sequence[str]
) -> tuple[Precision, ...]:
    """The precision of each tag over the kept proposals that people looked at.

    Parameters
    ----------
    rows : sequence of TagRow
    proposed : mapping of int to str
        The tag that words proposed, by id.
    tags : sequence of str
    """
    found = []
    for tag in tags:
        mine = [row for row in rows if row.kept and proposed.get(row.id) == tag]
        looked = [row for row in mine if row.reviewed in ("accept", "fix", "reject")]
        right = sum(row.reviewed == "accept" for row in looked)
        left = sum(not row.reviewed for row in mine)
        found.append(Precision(tag, right, len(looked), *wilson(right, len(looked)), left))
    return tuple(found)


def read_review(path: Path, tags: Sequence[str], reviewer: str = "") -> tuple[ReviewAnswer, ...]:
    """Read answers.

    Parameters
    ----------
    path : Path
        A table with the columns id and answer; tag for what was fixed; reviewer if known. The page
        of pictures saves one, and `tags.csv` with its column reviewed filled in is one.
    tags : sequence of str
        That there are.
    reviewer : str
        Of lines that name none.

    Raises
    ------
    RecordError
        If it cannot be read, or a line holds no answer that can be; the message names the line.
    """
    table = read_table(path, "The review in", RecordError, ("id",), fold=True)
    column = next((name for name in _ANSWER_COLUMNS if name in table.columns), None)
    if column is None:
        raise RecordError(
            f"{path} has no column answer. It needs the columns id and answer (accept, fix or "
            "reject), and tag for what is fixed."
        )
    said: dict[int, ReviewAnswer] = {}
    for number, cells in table.rows:
        if not cells[column]:
            continue
        one = _said(cells, column, f"{path} line {number}", tags)
        if said.setdefault(one.id, one) != one:
            raise RecordError(f"{path} line {number}: {one.id} has another answer above.")
        said[one.id] = replace(one, reviewer=one.reviewer or reviewer)
    if not said:
        raise RecordError(f"{path} holds no answers: its column {column} is empty.")
    return tuple(said.values())


def _said(cells: Row, column: str, where: str, tags: Sequence[str]) -> ReviewAnswer:
    answer = _WORDS.get(cells[column].lower())
    if answer is None:
        raise RecordError(
            f"{where}: the answer is {cells[column]!r}; it must be accept, fix or reject."
        )
    if not cells["id"].isdigit():
        raise RecordError(f"{where}: the id is {cells['id']!r}; it must be a whole number.")
    tag = tidy(cells.get("tag", "")) if answer == "fix" else ""
    if answer == "fix" and tag not in tags:
        raise RecordError(
            f"{where}: fix needs the right tag, but it is {tag!r}. There are {', '.join(tags)}."
        )
    name = one_line(cells.get("reviewer", ""), where, RecordError)
    return ReviewAnswer(int(cells["id"]), answer, tag, name)


def reviewed(
    rows: Sequence[TagRow], said: Sequence[ReviewAnswer], proposed: Mapping[int, str]
) -> tuple[TagRow, ...]:
    """The table with answers taken in; one to the same candidate takes the place of an earlier.

    Raises
    ------
    RecordError
        If an id is unknown, or what has no tag is accepted.
    """
    place = {row.id: n for n, row in enumerate(rows)}
    out = list(rows)
    unknown = [one.id for one in said if one.id not in place]
    if unknown:
        raise RecordError(
            f"{len(unknown)} of the answers are to candidates that are not there, such as "
            f"{unknown[0]}. Choose the review of this folder."
        )
    for one in said:
        row = out[place[one.id]]
        tag = proposed.get(one.id, row.tag)
        if one.answer == "accept" and not tag:
            raise RecordError(f"{one.id} has no tag that could be accepted. Fix or reject it.")
        out[place[one.id]] = replace(
            row, tag=one.tag if one.answer == "fix" else tag, reviewed=one.answer,
            reviewer=one.reviewer if one.answer else "",
        )  # fmt: skip
    return tuple(out)


def read_kept(folder: Path, tags: Sequence[str]) -> tuple[ReviewAnswer, ...]:
    """The answers kept in a folder, in the order they were given; none without a file."""
    path = folder / REVIEWS_CSV
    if not path.is_file():
        return ()
    table = read_table(path, "The reviews in", RecordError, _COLUMNS)
    return tuple(_said(cells, "answer", f"{path} line {n}", tags) for n, cells in table.rows)


def keep_answers(folder: Path, tags: Sequence[str], said: Sequence[ReviewAnswer]) -> None:
    """Add answers to those kept in a folder: none is lost when another takes its place."""
    text = io.StringIO(newline="")
    write = table_writer(text, _COLUMNS, ("tag", "reviewer"))
    for one in (*read_kept(folder, tags), *said):
        write([one.id, one.answer or "open", one.tag, one.reviewer])
    replace_file(folder / REVIEWS_CSV, text.getvalue())
