"""Files and folders that appear whole or not at all.

Everything is written beside its place, under a name that starts with a dot and holds ``.part``, and
renamed when it is complete. A failure, a cancel or a full disk leaves what was there before.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histoprompt.core.errors import ExportError
from histoprompt.core.names import fitted

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file beside its place and rename it when the block ends well.

    Parameters
    ----------
    path : path
        Where the file shall be; missing folders are made. An existing file is replaced.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    ExportError
        If it cannot be written: the disk is full, or the folder may not be written to.
    """
    target = Path(path).absolute()
    part = _beside(target)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a folder beside its place and put it there when the block ends well.

    An existing folder stays untouched until the new one is complete, and is then removed.

    Parameters
    ----------
    path : path
        Where the folder shall be.

    Yields
    ------
    Path
        An empty folder to fill.

    Raises
    ------
    ExportError
        If it cannot be written: the disk is full, or the folder may not be written to.
    """
    target = Path(path).resolve()
    part = _beside(target)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        try:
            yield part
            _swap(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn an `OSError` while writing `target` into an `ExportError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise ExportError(_explain(error, target)) from error


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room, or no more room for this user."""
    return error.errno in _FULL


def _explain(error: OSError, target: Path) -> str:
    if is_full(error):
        return (
            f"There is no room to write {target}: {_free(target)} MB are free on that disk, or a "
            "limit on file size was met. Free some space or choose another place. "
            "What was there before is unchanged."
        )
    if error.errno in _FORBIDDEN:
        return f"{target} may not be written to ({error.strerror}). Choose another place."
    return f"{target} could not be written: {error}. What was there before is unchanged."


def _free(target: Path) -> int:
    existing = next((p for p in target.parents if p.exists()), Path("/"))
    return shutil.disk_usage(existing).free // 1_000_000


def _beside(target: Path) -> Path:
    # a name that just fits a disk would not with more around it
    return target.with_name(f".{fitted(target.name)}.{uuid.uuid4().hex[:8]}.part")


def _swap(part: Path, target: Path) -> None:
    """Put `part` in the place of `target`; if that fails, `target` is as it was."""
    if not target.exists():
        os.replace(part, target)
        return
    old = target.with_name(part.name + ".old")
    os.replace(target, old)
    try:
        os.replace(part, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
