"""Which files of a folder an export wrote, so that another one replaces these and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from histoprompt.core.errors import ExportError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.files.documents import Shape, read_json
from histoprompt.core.files.seal import is_sealed, seal_of
from histoprompt.pipelines.formats.json_files import write_json

MANIFEST = "export.json"
_SCHEMA = "histoprompt-export/2"


class _Left(TypedDict):
    """What an earlier export says of itself."""

    schema: Literal["histoprompt-export/2"]
    files: dict[str, str]
    seal: str


_LEFT: Shape[_Left] = Shape(_Left)


def write_manifest(folder: Path, provenance: Mapping[str, Any]) -> None:
    """List all files of a folder with their digests, under the seal of the account.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    files = {name: _digest(folder / name) for name in sorted(names_in(folder))}
    told = {"schema": _SCHEMA, "provenance": provenance, "files": files}
    write_json(folder / MANIFEST, {**told, "seal": seal_of(_content(files))})


def list_also(folder: Path, name: str) -> None:
    """Take one more file that this program wrote into the list of an export.

    Raises
    ------
    ExportError
        If the list cannot be written.
    """
    listed = _listed(folder)
    if listed is not None:
        told = read_json(folder / MANIFEST, ExportError)
        files = {**listed, name: _digest(folder / name)}
        with replacing_file(folder / MANIFEST) as part:
            write_json(part, {**told, "files": files, "seal": seal_of(_content(files))})


def is_export(folder: Path) -> bool:
    """Whether a folder holds an earlier export, which another one would replace."""
    return _listed(folder) is not None


def check_own(folder: Path) -> None:
    """Refuse a folder that holds anything but an export as this account left it.

    Raises
    ------
    ExportError
        If it is a file, or holds a file that is of no earlier export or was changed since.
    OSError
        If it cannot be looked at.
    """
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file. Give a folder to export to.")
    present = names_in(folder) if folder.is_dir() else set()
    if not present:
        return
    listed = _listed(folder)
    if listed is None and (folder / MANIFEST).is_file():
        raise ExportError(
            f"{folder} holds an {MANIFEST} that was not written by this version of the program on "
            "this account, so its files are not replaced. Choose another folder, or remove it."
        )
    foreign = sorted(present - {MANIFEST, *(listed or ())})
    if foreign:
        raise ExportError(
            f"{folder} holds {len(foreign)} files that are no earlier export, such as "
            f"{foreign[0]}. Choose another folder, or move them away."
        )
    changed = [n for n, d in (listed or {}).items() if n in present and _digest(folder / n) != d]
    if changed:
        raise ExportError(
            f"{folder} holds {len(changed)} files that were changed since they were exported, such "
            f"as {min(changed)}. Choose another folder, or move them away."
        )


def names_in(folder: Path) -> set[str]:
    """All files in a folder and below, by their places in it; links count as files."""
    found = set()
    for root, folders, files in os.walk(folder):
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        found |= {Path(root, name).relative_to(folder).as_posix() for name in (*files, *linked)}
    return found


def _listed(folder: Path) -> dict[str, str] | None:
    """The files that an earlier export of this account wrote, with digests; None without any."""
    try:
        left = _LEFT.of(read_json(folder / MANIFEST, ExportError), MANIFEST, ExportError)
    except ExportError:
        return None
    return left["files"] if is_sealed(_content(left["files"]), left["seal"]) else None


def _content(files: Mapping[str, str]) -> bytes:
    return json.dumps(dict(files), sort_keys=True).encode()


def _digest(path: Path) -> str:
    """Of the bytes of a file; of where it leads if it is a link."""
    if path.is_symlink():
        return f"link {os.readlink(path)}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
