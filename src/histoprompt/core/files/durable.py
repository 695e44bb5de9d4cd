"""Seeing files through to the disk: what was written stays when the power goes.

An operating system keeps what is written in memory for a while, and the names of files as well. A
file is safe once its content is synced, and its name once the folder that holds it is.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What file systems answer that know no such thing: a network folder, a folder opened as a file.
_UNKNOWN = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS, errno.EROFS}
# A disk takes up many requests at once about as fast as one.
_AT_ONCE = 16


def sync_file(path: Path) -> None:
    """See the content of a file through to the disk.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    number = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        _sync(number)
    finally:
        os.close(number)


def sync_folder(path: Path) -> None:
    """See the names in a folder through to the disk; where a system cannot do that, nothing."""
    if os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        _sync(number)
    finally:
        os.close(number)


def sync_all(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """See many files, and then the folders that hold them, through to the disk.

    Raises
    ------
    OSError
        If the disk does not take one of them.
    """
    files, folders = list(files), list(folders)
    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(files)))) as pool:
        list(pool.map(sync_file, files))
    for folder in folders:
        sync_folder(folder)


def sync_tree(root: Path) -> None:
    """See a folder with all that is in it through to the disk. Raises as `sync_all` does."""
    files: list[Path] = []
    folders: list[Path] = []
    for folder, _, names in os.walk(root):
        folders.append(Path(folder))
        files += [path for name in names if not (path := Path(folder, name)).is_symlink()]
    sync_all(files, reversed(folders))


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, so that they stay.

    Raises
    ------
    OSError
        If one cannot be made.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        if path == path.parent:
            break
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def remove(path: Path) -> None:
    """Delete a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(number: int) -> None:
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
