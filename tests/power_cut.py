"""A disk that forgets what was not synced: what is left of a folder after a power cut.

The strictest disk that POSIX allows: a file holds what it held when it was synced last, and nothing
if it never was; a folder holds the names that it held when it was synced last.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


class ForgetfulDisk:
    """Records what is synced below a folder; all that is there at first is on the disk.

    Parameters
    ----------
    root : Path
    monkeypatch
        Of the test.
    """

    def __init__(self, root: Path, monkeypatch) -> None:
        self._root = root
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self._kept: list[int] = []  # open files, so that no number is given away again
        self._real = os.fsync
        for folder, _, files in os.walk(root):
            for path in (Path(folder), *(Path(folder, name) for name in files)):
                number = os.open(path, os.O_RDONLY)
                self._note(number)
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, number: int) -> None:
        self._real(number)
        self._note(os.open(f"/proc/self/fd/{number}", os.O_RDONLY))

    def _note(self, number: int) -> None:
        self._kept.append(number)
        found = os.fstat(number)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(number) as entries:
                names = {e.name: (e.inode(), e.is_dir(follow_symlinks=False)) for e in entries}
            self._names[found.st_ino] = names
        else:
            self._content[found.st_ino] = os.pread(number, found.st_size, 0)

    def cut(self, target: Path) -> Path:
        """What a computer finds that is switched on again, as another folder."""
        shutil.rmtree(target, ignore_errors=True)
        self._restore(os.stat(self._root).st_ino, target)
        return target

    def _restore(self, folder: int, target: Path) -> None:
        target.mkdir()
        for name, (number, is_folder) in self._names.get(folder, {}).items():
            if is_folder:
                self._restore(number, target / name)
            else:
                (target / name).write_bytes(self._content.get(number, b""))

    def close(self) -> None:
        """Let go of all files."""
        for number in self._kept:
            os.close(number)
