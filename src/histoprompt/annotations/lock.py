"""One writer for a label store at a time."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.errors import StoreInUseError
from histoprompt.core.files.durable import make_folder
from histoprompt.core.files.locks import FolderLock, InUseError


def writer_lock(folder: Path) -> FolderLock:
    """The right to write into the folder of a store, made if missing.

    Raises
    ------
    StoreInUseError
        If another viewer or process has it.
    """
    make_folder(folder)
    try:
        return FolderLock(folder)
    except InUseError as error:
        raise StoreInUseError(
            f"The labels in {folder} are open for writing already ({error.who}). Close them "
            "there, or open them read-only here.",
            error.who,
        ) from error
