"""What a mended store has cut or replaced: kept in files of its own, never written over."""

from __future__ import annotations

import os
from pathlib import Path


class Aside:
    """The place for what one opening of a store replaces.

    Parameters
    ----------
    folder : Path
        Of the store; a folder ``replaced-1``, ``-2`` ... is made in it when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place: Path | None = None

    def keep(self, path: Path) -> None:
        """Move a file or folder of the store away, if it is there.

        Raises
        ------
        OSError
            If it cannot be moved.
        """
        if not path.exists():
            return
        if self.place is None:
            self.place = free_name(self._folder, "replaced")
            self.place.mkdir()
        target = self.place / path.relative_to(self._folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


def free_name(folder: Path, name: str) -> Path:
    """The first of ``name-1``, ``name-2`` ... that is not taken."""
    number = 1
    while (path := folder / f"{name}-{number}").exists():
        number += 1
    return path
