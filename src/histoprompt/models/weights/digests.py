"""Digests of weights files, remembered until a file changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histoprompt.core import settings
from histoprompt.core.errors import ExportError, WeightsError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.task import Task

_CHUNK = 1 << 20


def file_digest(path: Path, algorithm: str, task: Task | None = None) -> str:
    """The digest of a file as ``"algorithm:hex"``, remembered until the file changes.

    Parameters
    ----------
    path : Path
        The file.
    algorithm : {"sha256", "md5", "xxh128"}
        Which digest.
    task : Task, optional
        Is told of progress in bytes, and cancels.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        key = f"{algorithm}|{_identity(path)}"
        known = _remembered()
        if key not in known:
            known = {**known, key: _hash(path, algorithm, task or Task())}
            _remember(known)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    return f"{algorithm}:{known[key]}"


def folder_digest(folder: Path, algorithm: str) -> str:
    """The digest of a model that is a folder: of the names and digests of the files in it.

    Parameters
    ----------
    folder : Path
    algorithm : {"sha256", "md5"}

    Raises
    ------
    WeightsError
        If a file in it cannot be read.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    listed = "".join(f"{path.name} {file_digest(path, algorithm)}\n" for path in files)
    return f"{algorithm}:{hashlib.new(algorithm, listed.encode()).hexdigest()}"


def remember_move(old: Path, new: Path) -> None:
    """Carry the digests of a file along that is about to be renamed."""
    before = _identity(old)
    after = before.replace(str(old.resolve()), str(new.resolve()), 1)
    known = _remembered()
    moved = {k.replace(before, after): v for k, v in known.items() if k.endswith(f"|{before}")}
    _remember({**known, **moved})


def _identity(path: Path) -> str:
    """The file as it is now: another content has another time or size."""
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"


def _hash(path: Path, algorithm: str, task: Task) -> str:
    digest = _hasher(algorithm)()
    total, text = path.stat().st_size, f"Checking {path.name}"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            task.step(file.tell(), total, text)
            digest.update(chunk)
    return str(digest.hexdigest())


def _hasher(algorithm: str) -> Callable[[], Any]:
    if algorithm == "xxh128":
        import xxhash

        return xxhash.xxh128
    # md5 tells a damaged download from a whole one here; it guards no secret.
    return lambda: hashlib.new(algorithm, usedforsecurity=False)


def _memory_file() -> Path:
    return settings.cache_folder() / "digests.json"


def _remembered() -> dict[str, str]:
    """Digests computed before; a file that cannot be read is the same as none."""
    try:
        raw = read_json(_memory_file(), WeightsError)
        return {str(key): str(value) for key, value in raw.items()}
    except (WeightsError, AttributeError):
        return {}


def _remember(digests: dict[str, str]) -> None:
    """Keep digests for the next run; where that fails they are computed again."""
    with contextlib.suppress(ExportError), replacing_file(_memory_file()) as part:
        part.write_text(json.dumps(digests, indent=1, sort_keys=True), encoding="utf-8")
