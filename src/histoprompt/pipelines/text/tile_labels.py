"""All marks of a slide's tiles, kept in one file that is written at every change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.files.atomic import explained
from histoprompt.core.files.locks import alone_at
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.tissue.words import normal
from histoprompt.pipelines.text.tile_label_file import TileMark, read_list, write_list

Marks = tuple[TileMark, ...]


def tile_labels_path(slide_key: str) -> Path:
    """Where the marks of a slide lie."""
    return settings.home() / "marks" / f"{slide_key}.csv"


@dataclass(frozen=True, slots=True)
class _Change:
    """Marks that went and marks that came."""

    gone: Marks
    come: Marks

    @property
    def back(self) -> _Change:
        """What takes it back."""
        return _Change(self.come, self.gone)


class TileLabels:
    """What people said of tiles, text by text, with undo.

    Marks are kept by place, so they hold for any model and grid, and those on tiles or of texts
    that are not asked for now are kept too. A change is on disk before it shows. Several windows
    may hold one book: a change is made to what the file holds then, so none loses another's marks.

    Parameters
    ----------
    path : Path
        A file of `tile_label_file`; it need not exist.

    Raises
    ------
    PromptError
        If the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks = self._read()
        self._past: list[_Change] = []
        self._future: list[_Change] = []

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
        PromptError
            If another program has damaged it.
        """
        box = scores.box(tile)
        new = () if yes is None else (TileMark(*box.centre, yes, text),)

        def change(marks: Marks) -> _Change:
            there = tuple(
                mark
                for mark in marks
                if normal(mark.text) == normal(text) and box.contains(mark.row, mark.col)
            )
            same = [_key(mark) for mark in there] == [_key(mark) for mark in new]
            return _Change((), ()) if same else _Change(there, new)

        made = self._make(change)
        if made.gone or made.come:
            self._past.append(made)
            self._future.clear()

    def undo(self) -> bool:
        """Take the last change back; False if there is none. Raises as `set` does."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Make the change taken back last again; False if there is none. Raises as `set` does."""
        return self._step(self._future, self._past)

    def _step(self, source: list[_Change], target: list[_Change]) -> bool:
        if not source:
            return False
        back = source[-1].back
        self._make(lambda _: back)
        source.pop()
        target.append(back)
        return True

    def _make(self, change: Callable[[Marks], _Change]) -> _Change:
        """Change what the file holds now, while nobody else does."""
        with explained(self.path), alone_at(self.path):
            marks = self._read()
            made = change(marks)
            moved = {_key(mark) for mark in (*made.gone, *made.come)}
            kept = tuple(mark for mark in marks if _key(mark) not in moved)
            if kept + made.come != marks:
                write_list(self.path, kept + made.come)
        self._marks = kept + made.come
        return made

    def _read(self) -> Marks:
        return read_list(self.path) if self.path.exists() else ()


def _key(mark: TileMark) -> tuple[float, float, bool, str]:
    """What tells a mark from others, however its text is spelt."""
    return mark.row, mark.col, mark.yes, normal(mark.text)
