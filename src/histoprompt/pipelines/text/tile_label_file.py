"""Marks of tiles, yes or no, in a CSV file: what a dock's clicks are on the command line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core.errors import PromptError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.tables import one_line, read_table, table_writer
from histoprompt.core.scores.map import ScoreMap

COLUMNS = ("row", "col", "mark", "text")
_YES, _NO = {"yes", "y", "1", "true"}, {"no", "n", "0", "false"}


@dataclass(frozen=True, slots=True)
class TileMark:
    """What a person said of one tile.

    Attributes
    ----------
    row, col : float
        Level-0 pixels, anywhere in the tile.
    yes : bool
        Whether the tile belongs to the text.
    text : str
        Empty where a file leaves it out.
    """

    row: float
    col: float
    yes: bool
    text: str


def read_marks(path: Path, scores: ScoreMap) -> dict[str, dict[int, bool]]:
    """Read marks for the texts of a map.

    Parameters
    ----------
    path : Path
        UTF-8 with the columns ``row``, ``col`` (level-0 pixels, anywhere in the tile) and ``mark``
        (yes or no); ``text`` says of which text and may be left out where there is one.
    scores : ScoreMap

    Returns
    -------
    dict of str to dict of int to bool
        For each text its marks by tile. A later mark of a tile replaces an earlier one.

    Raises
    ------
    PromptError
        If the file cannot be read, a column is missing, or a line makes no sense; it is named.
    """
    marks: dict[str, dict[int, bool]] = {text: {} for text in scores.texts}
    for where, mark in _read(path):
        text = mark.text or _only(scores, where)
        if text not in marks:
            raise PromptError(
                f"{where}: there is no text {reprlib.repr(text)}; {', '.join(marks)}."
            )
        marks[text][_tile(mark, scores, where)] = mark.yes
    return marks


def read_list(path: Path) -> tuple[TileMark, ...]:
    """The marks of a file, whatever was scored. Raises as `read_marks` does."""
    return tuple(mark for _, mark in _read(path))


def write_list(path: Path, marks: Iterable[TileMark]) -> None:
    """Write marks as `read_list` and `read_marks` read them.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        write = table_writer(file, COLUMNS, names=("text",))
        for mark in marks:
            answer = "yes" if mark.yes else "no"
            write([f"{mark.row:.12g}", f"{mark.col:.12g}", answer, mark.text])


def write_marks(path: Path, marks: Mapping[str, Mapping[int, bool]], scores: ScoreMap) -> None:
    """Write marks as `read_marks` reads them, each at the middle of its tile.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    write_list(
        path,
        (
            TileMark(*scores.box(tile).centre, yes, text)
            for text, answers in marks.items()
            for tile, yes in sorted(answers.items())
        ),
    )


def _read(path: Path) -> list[tuple[str, TileMark]]:
    found = []
    for line, row in read_table(path, "The marks in", PromptError, COLUMNS[:3], fold=True).rows:
        where = f"{path} line {line}"
        text = one_line(row.get("text", ""), where, PromptError)
        found.append((where, TileMark(*_place(row, where), _answer(row["mark"], where), text)))
    return found


def _only(scores: ScoreMap, where: str) -> str:
    if len(scores.texts) == 1:
        return scores.texts[0]
    raise PromptError(f"{where}: say in a column text of which: {', '.join(scores.texts)}.")


def _place(row: Mapping[str, str], where: str) -> tuple[float, float]:
    try:
        place = float(row["row"]), float(row["col"])
    except ValueError as error:
        raise PromptError(f"{where}: row and col are numbers in level-0 pixels.") from error
    if not all(abs(value) < 2**31 for value in place):
        raise PromptError(f"{where}: row and col lie on no slide.")
    return place


def _tile(mark: TileMark, scores: ScoreMap, where: str) -> int:
    tile = scores.index_at(mark.row, mark.col)
    if tile is None:
        raise PromptError(
            f"{where}: ({mark.row:g}, {mark.col:g}) lies on no tile that was scored; mark tissue."
        )
    return tile


def _answer(text: str, where: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise PromptError(f"{where}: a mark is yes or no, not {reprlib.repr(text)}.")
    return word in _YES
