"""One writer at a time: locks of the operating system, which end with the process that holds them.

What is locked is a file made for it *and*, where the system can do that, the folder it lies in.
Somebody who removes the file, as one that "was left behind", lets nobody else in that way.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from histoprompt.core.files.closing import Closing

LOCK, HOLDER = "writer.lock", "writer.json"
# Seconds between two looks at a lock that somebody else holds for a moment.
_LOOK = 0.01
# Far beyond the end of any file that is locked: where locks keep others from reading.
_BYTE = 2**40
# What network folders answer that know no locks: better to work without than not at all.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


class InUseError(Exception):
    """Somebody else holds a lock.

    Attributes
    ----------
    who : str
        "process 12 on host, since ..." as far as it is known, else "another program".
    """

    def __init__(self, who: str) -> None:
        super().__init__(who)
        self.who = who


class HeldFile(Closing):
    """A file, made if missing, that nobody else holds. Made by `hold_file`."""

    def __init__(self, number: int, path: Path) -> None:
        self._number = number
        self.path = path

    @property
    def is_plain_and_empty(self) -> bool:
        """Whether it is as if it had been made just now."""
        found = os.fstat(self._number)
        return stat.S_ISREG(found.st_mode) and found.st_size == 0 and found.st_nlink == 1

    def read(self) -> bytes:
        """The content."""
        os.lseek(self._number, 0, os.SEEK_SET)
        return os.read(self._number, os.fstat(self._number).st_size)

    def write(self, data: bytes) -> None:
        """Replace the content, and see it through to the disk."""
        os.lseek(self._number, 0, os.SEEK_SET)
        os.ftruncate(self._number, 0)
        os.write(self._number, data)
        os.fsync(self._number)

    def close(self) -> None:
        """Let others hold it."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1


def hold_file(path: Path) -> HeldFile | None:
    """Hold a file, made if missing; None if somebody else does.

    Raises
    ------
    OSError
        If it cannot be made, or is a link.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        with contextlib.ExitStack() as opened:
            number = os.open(path, flags, 0o666)
            opened.callback(os.close, number)
            if not _try(number):
                return None
            if _is_at(number, path):
                opened.pop_all()  # it stays open as long as it is held
                return HeldFile(number, path)
            # else somebody has put it elsewhere meanwhile: this is not the file any more


class FolderLock(Closing):
    """The right to write into a folder.

    Parameters
    ----------
    folder : Path
        It must exist.

    Raises
    ------
    InUseError
        If somebody else has it.
    OSError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with contextlib.ExitStack() as taken:
            held = hold_file(folder / LOCK)
            if held is None:
                raise InUseError(_holder(folder))
            taken.enter_context(held)
            number = _hold_folder(folder)
            taken.callback(_close, number)
            with contextlib.suppress(OSError):  # only who it is would not be told
                (folder / HOLDER).write_text(json.dumps(_me()), encoding="utf-8")
            self._taken = taken.pop_all()

    def close(self) -> None:
        """Let others write."""
        self._taken.close()


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Be the only one who reads, changes and writes a file; wait for others.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    while (held := hold_file(lock)) is None:
        time.sleep(_LOOK)
    with held:
        yield


def _holder(folder: Path) -> str:
    try:
        who = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another program"


def _me() -> dict[str, object]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": platform.node(), "since": now}


def _hold_folder(folder: Path) -> int:
    """Lock the folder itself; -1 where a system or a network folder knows no such lock."""
    if os.name == "nt":
        return -1
    number = os.open(folder, os.O_RDONLY)
    try:
        if _try(number):
            return number
    except OSError:
        os.close(number)
        return -1
    os.close(number)
    raise InUseError(_holder(folder))


def _close(number: int) -> None:
    if number >= 0:
        os.close(number)


def _is_at(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.lstat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try(number: int) -> bool:
        """Lock an open file; False if somebody else has."""
        os.lseek(number, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(number, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try(number: int) -> bool:
        """Lock an open file; False if somebody else has."""
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
