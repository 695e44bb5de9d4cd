"""Which files of a folder an export wrote, so that another one replaces these and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from histoprompt.core import settings
from histoprompt.core.errors import ExportError, InTheWayError
from histoprompt.core.files.atomic import explained, replacing_file
from histoprompt.core.files.documents import Shape, read_json
from histoprompt.core.files.durable import sync_folder
from histoprompt.core.files.seal import is_sealed, seal_of
from histoprompt.core.strings.wording import many
from histoprompt.pipelines.formats.catalogue import FORMATS
from histoprompt.pipelines.formats.json_files import write_json
from histoprompt.pipelines.recipes.recipe import RECIPE

MANIFEST = "export.json"
_SCHEMA = "histoprompt-export/2"
_WAY = "Choose another folder, or move this one away."
# Names for folders that were set aside, before something is wrong.
_OFTEN = 1000


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


def labels_of_export(path: Path) -> Path:
    """What holds the labels in a folder that an export wrote; the path itself if it is another.

    Some formats are the whole folder, others a file or a folder in it.
    """
    readable = [form for form in FORMATS if form.reads]
    if not (path / MANIFEST).is_file() or any(form.matches(path) for form in readable):
        return path
    beside = (MANIFEST, RECIPE)
    with explained(path):
        inside = [one for one in sorted(path.iterdir()) if one.name not in beside]
    return next((one for form in readable for one in inside if form.matches(one)), path)


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
    InTheWayError
        If it holds a file that is of no earlier export or was changed since.
    ExportError
        If it is a file.
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
        raise InTheWayError(
            f"{folder} holds an export of an earlier version of the program or of another account, "
            f"or its {MANIFEST} was changed since: nothing in it is replaced. {_WAY}"
        )
    foreign = sorted(present - {MANIFEST, *(listed or ())})
    if foreign:
        raise InTheWayError(
            f"{folder} holds {many(len(foreign), 'file')} of no earlier export, such as "
            f"{foreign[0]}: nothing in it is replaced. {_WAY}"
        )
    changed = [n for n, d in (listed or {}).items() if n in present and _digest(folder / n) != d]
    if changed:
        raise InTheWayError(
            f"{folder} holds {many(len(changed), 'file')} changed since the export, such as "
            f"{min(changed)}: nothing in it is replaced. {_WAY}"
        )


@contextmanager
def set_aside(folder: Path, used: Iterable[Path] = ()) -> Iterator[Path | None]:
    """Let an export into a folder that holds other things: these keep, under another name.

    Nothing is removed. The whole folder is renamed to ``NAME-before``, or ``NAME-before-2`` and so
    on; if the block writes nothing in its place, it gets its name back.

    Parameters
    ----------
    folder : Path
        Where the block exports to. One that holds nothing but an export of this account stays.
    used : iterable of Path
        Files that the block reads.

    Yields
    ------
    Path or None
        Where the folder lies now; None if it stays.

    Raises
    ------
    ExportError
        If the folder is a file, cannot be renamed, or holds something in use: such a file, the
        user's home, the program's data or the working folder.
    """
    place = folder.resolve()
    with explained(place):
        away = _moved_away(place, used)
    try:
        yield away
    finally:
        if away is not None and not place.exists():
            os.rename(away, place)


def _moved_away(place: Path, used: Iterable[Path]) -> Path | None:
    try:
        check_own(place)
    except InTheWayError:
        in_use = (*used, settings.home(), Path.home(), Path.cwd())
        held = next((path for path in in_use if path.resolve().is_relative_to(place)), None)
        if held is not None:
            raise ExportError(
                f"{place} cannot be set aside: {held} lies in it and is in use. Choose another "
                "folder."
            ) from None
    else:
        return None
    numbers = ("", *(f"-{n}" for n in range(2, _OFTEN)))
    names = (place.with_name(f"{place.name}-before{number}") for number in numbers)
    away = next((name for name in names if not os.path.lexists(name)), None)
    if away is None:
        raise ExportError(f"{place} was set aside {_OFTEN} times already. Choose another folder.")
    os.rename(place, away)
    sync_folder(place.parent)
    return away


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
