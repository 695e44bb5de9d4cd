"""One writer for a label store at a time."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from histoprompt.core.errors import LabelStoreError


class WriterLock:
    """A lock of the operating system on a folder; it ends with the process, however that ends.

    Raises
    ------
    LabelStoreError
        If another viewer or process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._holder = folder / "writer.json"
        # Taken in one thread and given back in another: a job opens what the window closes.
        self._lock = FileLock(folder / "writer.lock", timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise LabelStoreError(
                f"The labels in {folder} are open for writing already{self._by_whom()}. Close "
                "them there, or open them read-only here."
            ) from error
        self._holder.write_text(json.dumps(_me()))

    def release(self) -> None:
        """Let others write."""
        self._lock.release()

    def _by_whom(self) -> str:
        try:
            who = json.loads(self._holder.read_text())
            return f" (process {who['pid']} on {who['host']}, since {who['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def _me() -> dict[str, object]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": platform.node(), "since": now}
