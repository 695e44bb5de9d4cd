"""All marks of a slide's tiles, kept in one file that is written at every change."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.score_map import ScoreMap
from histoprompt.core.tissue_words import normal
from histoprompt.pipelines.mark_file import Mark, read_list, write_list

Marks = tuple[Mark, ...]


def book_path(slide_key: str) -> Path:
    """Where the marks of a slide lie."""
    return settings.home() / "marks" / f"{slide_key}.csv"


class MarkBook:
    """What people said of tiles, text by text, with undo.

    Marks are kept by place, so they hold for any model and grid, and those on tiles or of texts
    that are not asked for now are kept too. A change is on disk before it shows.

    Parameters
    ----------
    path : Path
        A file of `mark_file`; it need not exist.

    Raises
    ------
    PromptError
        If the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks: Marks = read_list(path) if path.exists() else ()
        self._past: list[Marks] = []
        self._future: list[Marks] = []

    def __len__(self) -> int:
        return len(self._marks)

    def of(self, scores: ScoreMap, text: str) -> dict[int, bool]:
        """The marks of a text by tile of a map; those on no tile of it are left out."""
        found = {}
        for mark in self._marks:
            if normal(mark.text) == normal(text):
                tile = scores.index_at(mark.row, mark.col)
                if tile is not None:
                    found[tile] = mark.yes
        return found

    def set(self, scores: ScoreMap, text: str, tile: int, yes: bool | None) -> None:
        """Mark a tile, or with None take its mark away.

        Raises
        ------
        ExportError
            If the file cannot be written; nothing is changed then.
        """
        box = scores.box(tile)
        kept = tuple(
            mark
            for mark in self._marks
            if normal(mark.text) != normal(text) or not box.contains(mark.row, mark.col)
        )
        new = () if yes is None else (Mark(*box.centre, yes, text),)
        if kept + new == self._marks:
            return
        before = self._marks
        self._turn_to(kept + new)
        self._past.append(before)
        self._future.clear()

    def undo(self) -> bool:
        """Take the last change back; False if there is none. Raises as `set` does."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Make the change taken back last again; False if there is none. Raises as `set` does."""
        return self._step(self._future, self._past)

    def _step(self, source: list[Marks], target: list[Marks]) -> bool:
        if not source:
            return False
        before = self._marks
        self._turn_to(source[-1])
        source.pop()
        target.append(before)
        return True

    def _turn_to(self, marks: Marks) -> None:
        write_list(self.path, marks)
        self._marks = marks
