"""What a record of the journal is made of, in pieces: an edit of a million objects is large."""

from __future__ import annotations

import json
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histoprompt.core.errors import LabelStoreError

_MANY = 1 << 14
_IN_MEMORY, _PIECE = 1 << 24, 1 << 20


class Body:
    """The bytes of a record's body as they come: 16 MB in memory, the rest beside the labels.

    Parameters
    ----------
    folder : Path
        Where there is room for them.

    Attributes
    ----------
    size, crc : int
        Bytes so far, and their CRC-32.
    """

    def __init__(self, folder: Path) -> None:
        self.size = self.crc = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def add(self, data: bytes) -> None:
        """Append bytes.

        Raises
        ------
        LabelStoreError
            If the disk does not take them.
        """
        try:
            self._file.write(data)
        except OSError as error:
            raise LabelStoreError(
                f"Cannot write labels: {error}. "
                "The labels are as they were before this edit; make room and try again."
            ) from error
        self.crc, self.size = zlib.crc32(data, self.crc), self.size + len(data)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, in order."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece


class StoredBody:
    """The body of a record as it lies in a journal, read piece by piece.

    Parameters
    ----------
    read : callable
        Gives so many bytes of the journal from a place on.
    at, size, crc : int
        Where the body lies, its bytes and their CRC-32.
    """

    def __init__(self, read: Callable[[int, int], bytes], at: int, size: int, crc: int) -> None:
        self.size, self.crc = size, crc
        self._read, self._at = read, at

    def pieces(self) -> Iterator[bytes]:
        """All bytes, in order."""
        for start in range(0, self.size, _PIECE):
            yield self._read(self._at + start, min(_PIECE, self.size - start))

    @property
    def whole(self) -> bool:
        """Whether the bytes are those that were written."""
        crc = size = 0
        for piece in self.pieces():
            crc, size = zlib.crc32(piece, crc), size + len(piece)
        return (crc, size) == (self.crc, self.size)


def packed_json(value: Mapping[str, Any]) -> bytes:
    """JSON, compressed; long lists are never there as text as a whole."""
    packer = zlib.compressobj(1)
    found = [packer.compress(piece.encode()) for piece in _object(value)]
    return b"".join([*found, packer.flush()])


def _object(value: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for n, (key, item) in enumerate(value.items()):
        yield f"{', ' if n else ''}{json.dumps(key)}: "
        yield from _object(item) if isinstance(item, dict) else _item(item)
    yield "}"


def _item(value: Any) -> Iterator[str]:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        yield json.dumps(value, default=_plain)
        return
    if len(value) <= _MANY:
        yield json.dumps(_plain(value[:]), default=_plain)
        return
    for start in range(0, len(value), _MANY):
        text = json.dumps(_plain(value[start : start + _MANY]), default=_plain)
        yield ("[" if not start else ", ") + text[1:-1]
    yield "]"


def _plain(value: object) -> object:
    """What JSON can hold of a value of somebody's provenance."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return value if isinstance(value, list | tuple) else str(value)
