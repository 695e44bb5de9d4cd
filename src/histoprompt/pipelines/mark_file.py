"""Marks of tiles, yes or no, in a CSV file: what a dock's clicks are on the command line."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from histoprompt.core.atomic import replacing_file
from histoprompt.core.errors import PromptError
from histoprompt.core.score_map import ScoreMap

_YES, _NO = {"yes", "y", "1", "true"}, {"no", "n", "0", "false"}


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
    for line, row in _rows(path):
        where = f"{path} line {line}"
        text = (row.get("text") or "").strip() or _only(scores, where)
        if text not in marks:
            raise PromptError(f"{where}: there is no text {text!r}; {', '.join(marks)}.")
        marks[text][_tile(row, scores, where)] = _answer(row.get("mark") or "", where)
    return marks


def write_marks(path: Path, marks: Mapping[str, Mapping[int, bool]], scores: ScoreMap) -> None:
    """Write marks as `read_marks` reads them, each at the middle of its tile.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    with replacing_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "col", "mark", "text"])
        for text, answers in marks.items():
            for tile, yes in sorted(answers.items()):
                row, col = scores.box(tile).centre
                writer.writerow([f"{row:g}", f"{col:g}", "yes" if yes else "no", text])


def _rows(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PromptError(f"The marks in {path} cannot be read: {error}") from error
    missing = {"row", "col", "mark"} - set(reader.fieldnames)
    if missing:
        raise PromptError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
    return rows


def _only(scores: ScoreMap, where: str) -> str:
    if len(scores.texts) == 1:
        return scores.texts[0]
    raise PromptError(f"{where}: say in a column text of which: {', '.join(scores.texts)}.")


def _tile(row: Mapping[str, str | None], scores: ScoreMap, where: str) -> int:
    try:
        at = float(row["row"] or ""), float(row["col"] or "")
    except ValueError as error:
        raise PromptError(f"{where}: row and col are numbers in level-0 pixels.") from error
    tile = scores.index_at(*at)
    if tile is None:
        raise PromptError(
            f"{where}: ({at[0]:g}, {at[1]:g}) lies on no tile that was scored; mark tissue."
        )
    return tile


def _answer(text: str, where: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise PromptError(f"{where}: a mark is yes or no, not {text!r}.")
    return word in _YES
