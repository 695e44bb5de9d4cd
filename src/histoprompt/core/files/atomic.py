"""Files and folders that appear whole or not at all, and stay when the power goes.

Everything is written beside its place, under a name that starts with a dot and ends in ``.part``,
seen through to the disk, and renamed when it is complete. A failure, a cancel or a full disk leaves
what was there before. What a killed process left beside is used again or removed by the next one
that writes the same thing; who is still at work is told by a lock that ends with its process.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histoprompt.core.errors import ExportError
from histoprompt.core.files.durable import make_folder, remove, sync_file, sync_folder, sync_tree
from histoprompt.core.files.locks import HeldFile, hold_file
from histoprompt.core.strings.names import fitted

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
# So many may write the same thing at once; what a killed one left is taken for its own first.
_AT_ONCE = 1000


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
    with explained(target):
        make_folder(target.parent)
        part, held = _new_part(target)
        try:
            yield part
            sync_file(part)
            if os.name == "nt":
                held.close()  # a file that is open cannot be renamed there
            os.replace(part, target)
            sync_folder(target.parent)
        finally:
            part.unlink(missing_ok=True)
            held.close()


def replace_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a small file whole, as `replacing_file` does; text is UTF-8. Raises as it does."""
    with replacing_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a folder beside its place and put it there when the block ends well.

    An existing folder stays untouched until the new one is complete, and is then removed. A link
    in its place is replaced; what it leads to stays.

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
    target = Path(path).absolute()
    with explained(target):
        make_folder(target.parent)
        part, held = _new_folder(target)
        try:
            yield part
            sync_tree(part)
            _swap(part, target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            held.path.unlink(missing_ok=True)
            held.close()


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn an `OSError` while writing `target` into an `ExportError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise ExportError(_explain(_root_of(error), target)) from error


def _root_of(error: OSError) -> OSError:
    """The system's own error, where a library raised another in its place."""
    found: BaseException | None = error
    while found is not None and not (isinstance(found, OSError) and found.errno):
        found = found.__cause__ or found.__context__
    return found if isinstance(found, OSError) else error


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room, or no more room for this user."""
    return error.errno in _FULL


def _explain(error: OSError, target: Path) -> str:
    if is_full(error):
        free = free_bytes(target) // 1_000_000
        return (
            f"There is no room to write {target}: {free} MB are free on that disk, or a "
            "limit on file size was met. Free some space or choose another place. "
            "What was there before is unchanged."
        )
    if error.errno in _FORBIDDEN:
        return f"{target} may not be written to ({error.strerror}). Choose another place."
    return f"{target} could not be written: {error}. What was there before is unchanged."


def free_bytes(place: Path) -> int:
    """Bytes free on the disk where a file or folder lies, or would lie."""
    place = place.absolute()
    return shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free


def _parts(target: Path) -> Iterator[Path]:
    """Names beside a place, the same for every process: so that leftovers are met again."""
    return (target.with_name(f".{fitted(target.name)}.{n}.part") for n in range(1, _AT_ONCE))


def _new_part(target: Path) -> tuple[Path, HeldFile]:
    """A new empty file beside a place, held so that nobody takes it for a leftover."""
    for part in _parts(target):
        held = _held(part)
        if held is not None and not held.is_plain_and_empty:
            part.unlink()  # a leftover, perhaps with other rights or under another name as well
            held.close()
            held = _held(part)
        if held is not None:
            return part, held
    raise OSError(errno.EBUSY, "too many programs write it at once")


def _new_folder(target: Path) -> tuple[Path, HeldFile]:
    """A new empty folder beside a place; what killed processes left there is put right first."""
    for part in _parts(target):
        held = _held(part.with_name(f"{part.name}.lock"))
        if held is None:
            continue
        old = _old(part)
        if os.path.lexists(old):
            _put_back(old, target)
        remove(part)
        part.mkdir()
        return part, held
    raise OSError(errno.EBUSY, "too many programs write it at once")


def _held(path: Path) -> HeldFile | None:
    """A file at a place, held; None if somebody has put something there that is not ours."""
    try:
        return hold_file(path)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP, errno.EACCES) and os.path.lexists(path):
            return None
        raise


def _old(part: Path) -> Path:
    """Where what is replaced lies while something else is put in its place."""
    return part.with_name(f"{part.name}.old")


def _put_back(old: Path, target: Path) -> None:
    """Undo half a swap: the process that made it was killed in the middle."""
    if os.path.lexists(target):
        remove(old)
    else:
        os.replace(old, target)


def _swap(part: Path, target: Path) -> None:
    """Put `part` in the place of `target`; if that fails, `target` is as it was."""
    if not os.path.lexists(target):
        os.replace(part, target)
        return
    old = _old(part)
    os.replace(target, old)
    try:
        os.replace(part, target)
    except OSError:
        os.replace(old, target)
        raise
    sync_folder(target.parent)
    remove(old)
