"""What is kept on the user's machine between runs: how much it takes, and taking it away."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core import settings
from histoprompt.core.files.durable import remove
from histoprompt.core.files.locks import FolderLock, InUseError
from histoprompt.pipelines.count.run import UNFINISHED
from histoprompt.pipelines.embedding.embedding_store import folder_bytes


@dataclass(frozen=True)
class StoredKind:
    """One kind of things that are kept.

    Attributes
    ----------
    name : str
    folder : Path
    n_bytes : int
    """

    name: str
    folder: Path
    n_bytes: int


def kept() -> list[StoredKind]:
    """All that is kept, by kind."""
    places = {
        "embeddings": settings.cache_folder(),
        "counts": settings.counts_folder(),
        "labels": settings.labels_folder(),
        "models": settings.weights_folder(),
    }
    return [StoredKind(name, place, folder_bytes(place)) for name, place in places.items()]


def clear_embeddings() -> int:
    """Remove what slides looked like to models, and what else can be made again.

    Returns
    -------
    int
        Bytes that are free now. What another program uses stays.
    """
    folders = [f for f in settings.cache_folder().rglob("*.zarr") if f.is_dir()]
    return sum(_remove(folder, folder) for folder in folders)


def clear_counts(said: bool = False) -> int:
    """Remove counts that were worked on.

    Parameters
    ----------
    said : bool
        Those too that somebody has given labels to, or audited: that work is lost.

    Returns
    -------
    int
        Bytes that are free now. What another program uses stays.
    """
    root = settings.counts_folder()
    folders = [f for f in root.iterdir() if f.is_dir()] if root.is_dir() else []
    plain = [f for f in folders if said or not any(f.glob("*.json*"))]
    return sum(_remove(folder, folder / UNFINISHED) for folder in plain)


def _remove(folder: Path, locked: Path) -> int:
    size = folder_bytes(folder)
    with contextlib.ExitStack() as held:
        if locked.is_dir():
            try:
                held.enter_context(FolderLock(locked))
            except (InUseError, OSError):
                return 0
        remove(folder)
    return size - folder_bytes(folder)
