"""What an offline pack looks like: one zip with a list, licences and files.

``manifest.json`` names the models and, of each file, its place, size and sha256;
``licences/ID.txt`` holds what the user has to accept; ``files/PLACE`` are the files as they are.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from histoprompt import __version__
from histoprompt.core.errors import WeightsError
from histoprompt.core.files.documents import Shape, parse_json
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
# Weights hardly get smaller in a zip: one that grows more than this on unpacking holds none.
_SWELLS = 4
# Whatever zipfile and json raise on a damaged file.
_DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    WeightsError,
)


class _Entry(TypedDict):
    place: str
    n_bytes: Annotated[int, Field(ge=0, lt=2**63)]
    sha256: str


_LISTED: Shape[list[_Entry]] = Shape(list[_Entry])


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
    except _DAMAGE:
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
    with _doubted(path, "it cannot be opened"):
        archive = zipfile.ZipFile(path)
    with archive:
        yield PackReader(path, archive)


def known_cards(path: Path, cards: Sequence[ModelCard]) -> list[ModelCard]:
    """The models of a pack that this version knows.

    Raises
    ------
    WeightsError
        If there are none, or if it is no pack, damaged, or made by a later version.
    """
    with opened(path) as pack:
        ids = pack.models()
    known = [card for card in cards if card.id in ids]
    if not known:
        raise WeightsError(f"{path} holds no model that this version knows: {', '.join(ids)}.")
    return known


class PackReader:
    """A pack opened for reading; everything in it is doubted."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        with _doubted(path, "its list cannot be read"):
            if archive.getinfo(MANIFEST).file_size > _MANIFEST_MAX:
                raise ValueError("too long")
            raw = parse_json(archive.read(MANIFEST), MANIFEST, WeightsError)
            self._manifest: dict[str, Any] = dict(raw)
            known = self._manifest["format"] == FORMAT and self._manifest["version"] <= VERSION
        if not known:
            raise WeightsError(
                f"{path} was made by {self._manifest.get('made_by', 'another program')} and cannot "
                f"be read by histoprompt {__version__}. Update this one, or pack the models again."
            )

    def models(self) -> list[str]:
        """The ids of the models in it."""
        with _doubted(self.path, "its list of models cannot be read"):
            return [str(model["id"]) for model in self._manifest["models"]]

    def files(self) -> dict[str, Packed]:
        """The files in it by their place."""
        with _doubted(self.path, "its list of files cannot be read"):
            listed = _LISTED.of(self._manifest["files"], MANIFEST, WeightsError)
            return {file["place"]: Packed(**file) for file in listed}

    def check_size(self, packed: Packed) -> None:
        """Refuse a file whose size in the pack is not the one its list says.

        Raises
        ------
        WeightsError
        """
        with _doubted(self.path, f"{packed.place} in it cannot be read"):
            found = self._archive.getinfo(_NAME.format(packed.place))
            held = found.file_size
        if held > _SWELLS * max(found.compress_size, _CHUNK):
            raise _damaged(self.path, f"{packed.place} in it would unpack to {held:,} bytes")
        if held != packed.n_bytes:
            raise _damaged(
                self.path,
                f"its list says that {packed.place} has {packed.n_bytes:,} bytes, and it has "
                f"{held:,}",
            )

    def unpack(self, packed: Packed, part: Path, task: Task) -> None:
        """Write one file of it, and compare it with its sha256."""
        self.check_size(packed)
        with part.open("wb") as target:
            for piece in self._pieces(packed, task):
                target.write(piece)
        if file_digest(part, "sha256", task) != packed.sha256:
            raise _damaged(self.path, f"{packed.place} in it has another sha256 than its list says")

    def _pieces(self, packed: Packed, task: Task) -> Iterator[bytes]:
        # A generator, so that errors of reading are not mixed up with those of writing.
        with (
            _doubted(self.path, f"{packed.place} in it cannot be read"),
            self._archive.open(_NAME.format(packed.place)) as source,
        ):
            yield from pieces(source, packed.n_bytes, f"Unpacking {packed.place}", task)


def pieces(source: IO[bytes], n_bytes: int, text: str, task: Task) -> Iterator[bytes]:
    """So many bytes of a file and no more, whatever it holds; progress in megabytes."""
    left = n_bytes
    while left and (piece := source.read(min(_CHUNK, left))):
        task.step((n_bytes - left) // _MB, -(-n_bytes // _MB), f"{text} (MB)")
        yield piece
        left -= len(piece)


@contextmanager
def _doubted(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a damaged zip or list raises into one clear line."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(path, f"{what} ({error or type(error).__name__})") from error


def _damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{path} is no whole offline pack: {what}. Copy it again, or make it again where it is "
        "from."
    )
