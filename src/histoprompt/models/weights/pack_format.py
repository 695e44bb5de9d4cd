"""What an offline pack looks like: one zip with a list, licences and files.

``manifest.json`` names the models and, of each file, its place, size and sha256;
``licences/ID.txt`` holds what the user has to accept; ``files/PLACE`` are the files as they are.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from histoprompt import __version__
from histoprompt.core.errors import WeightsError
from histoprompt.core.task import Task
from histoprompt.models.card import ModelCard
from histoprompt.models.weights.digests import file_digest

FORMAT = "histoprompt weights"
VERSION = 1
MANIFEST = "manifest.json"
_MANIFEST_MAX = 10_000_000
_NAME = "files/{}"
_CHUNK = 1 << 20
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Packed:
    """One file in a pack.

    Attributes
    ----------
    place : str
        Its place in the weights folder, which is its name in the pack below ``files/``.
    n_bytes : int
    sha256 : str
        ``"sha256:hex"``.
    """

    place: str
    n_bytes: int
    sha256: str


def is_pack(path: Path) -> bool:
    """Whether a file is a pack, rather than weights; PyTorch's files are zips too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def manifest(cards: Sequence[ModelCard], files: Sequence[Packed]) -> dict[str, Any]:
    """What the list of a pack says."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"histoprompt {__version__}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": [{"id": c.id, "title": c.title, "licence": c.licence} for c in cards],
        "files": [asdict(packed) for packed in files],
    }


def member(archive: zipfile.ZipFile, packed: Packed) -> IO[bytes]:
    """A file to write inside a pack; it may be larger than 4 GB."""
    return archive.open(_NAME.format(packed.place), "w", force_zip64=True)


@contextmanager
def opened(path: Path) -> Iterator[PackReader]:
    """Open a pack for reading.

    Raises
    ------
    WeightsError
        If it is no pack, damaged, or made by a later version.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from error
    with archive:
        yield PackReader(path, archive)


class PackReader:
    """A pack opened for reading; everything in it is doubted."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        try:
            if archive.getinfo(MANIFEST).file_size > _MANIFEST_MAX:
                raise _damaged(path, "its list is too long")
            self._manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
            known = self._manifest["format"] == FORMAT and self._manifest["version"] <= VERSION
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged(path, f"its list of files ({error})") from error
        if not known:
            raise WeightsError(
                f"{path} was made by {self._manifest.get('made_by', 'another program')} and cannot "
                f"be read by histoprompt {__version__}. Update this one, or pack the models again."
            )

    def models(self) -> list[str]:
        """The ids of the models in it."""
        try:
            return [str(model["id"]) for model in self._manifest["models"]]
        except (KeyError, TypeError) as error:
            raise _damaged(self.path, f"its list of models ({error})") from error

    def files(self) -> dict[str, Packed]:
        """The files in it by their place."""
        try:
            files = [
                Packed(str(f["place"]), int(f["n_bytes"]), str(f["sha256"]))
                for f in self._manifest["files"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self.path, f"its list of files ({error})") from error
        return {packed.place: packed for packed in files}

    def unpack(self, packed: Packed, part: Path, task: Task) -> None:
        """Write one file of it, and compare it with its sha256."""
        try:
            with (
                self._archive.open(_NAME.format(packed.place)) as source,
                part.open("wb") as target,
            ):
                copy_exactly(source, target, packed.n_bytes, f"Unpacking {packed.place}", task)
        except (KeyError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(self.path, f"{packed.place} in it ({error})") from error
        if file_digest(part, "sha256", task) != packed.sha256:
            raise _damaged(self.path, f"{packed.place} in it has another sha256 than its list says")


def copy_exactly(source: IO[bytes], target: IO[bytes], n_bytes: int, text: str, task: Task) -> None:
    """Copy so many bytes and no more, whatever the source holds."""
    left = n_bytes
    while left and (chunk := source.read(min(_CHUNK, left))):
        task.step((n_bytes - left) // _MB, -(-n_bytes // _MB), f"{text}, MB")
        target.write(chunk)
        left -= len(chunk)


def _damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{path} is no whole offline pack: {what}. Copy it again, or make it again with "
        "`histoprompt models export`."
    )
