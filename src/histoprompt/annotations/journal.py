"""The append-only journal: every edit of a slide's labels, in the order they were made."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from histoprompt.annotations.long_record import Body, StoredBody, packed_json
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.files.durable import sync_folder

MAGIC = b"HPR1"
_HEAD = struct.Struct("<4sIQII")
"""Magic, bytes of header, bytes of body, CRC-32 of header and of body."""


@dataclass(frozen=True)
class Record:
    """One entry.

    Attributes
    ----------
    header : dict
        What was done, as plain JSON.
    body : bytes
        Compressed labels, cut up as the header says.
    body_at : int
        Where the body lies in the file.
    long : Body, StoredBody or None
        The body in place of `body`: to be written, or left where it lies in a journal.
    """

    header: dict[str, Any]
    body: bytes = b""
    body_at: int = field(default=0, compare=False)
    long: Body | StoredBody | None = field(default=None, compare=False)


class Journal:
    """A file of records, each found by the offset it starts at.

    Parameters
    ----------
    path : Path
        Of the file; made if missing, unless opened to read only.
    read_only : bool
        Whether nothing will be appended.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path = path
        if not read_only and not path.exists():
            path.touch()
            sync_folder(path.parent)
        self._file: BinaryIO = path.open("rb" if read_only else "r+b", buffering=0)
        self.end = os.fstat(self._file.fileno()).st_size

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def append(self, record: Record, *, through: bool = True) -> int:
        """Write a record, through to the disk unless `sync` will do that, and return its offset.

        Raises
        ------
        LabelStoreError
            If it cannot be written; the journal is then as it was.
        """
        header, offset = packed_json(record.header), self.end
        body = record.long
        size, crc = len(record.body), zlib.crc32(record.body)
        if body is not None:
            size, crc = body.size, body.crc
        head = _HEAD.pack(MAGIC, len(header), size, zlib.crc32(header), crc)
        try:
            self._file.seek(offset)
            self._write_all(head + header + record.body)
            for piece in () if body is None else body.pieces():
                self._write_all(piece)
            if through:
                os.fsync(self._file.fileno())
        except OSError as error:
            self.cut(offset)
            raise LabelStoreError(
                f"Cannot write the journal {self._path}: {error}. "
                "The labels are as they were before this edit; make room and try again."
            ) from error
        self.end = self._file.tell()
        return offset

    def sync(self) -> None:
        """See everything through to the disk.

        Raises
        ------
        LabelStoreError
            If the disk does not take it.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise LabelStoreError(f"Cannot write the journal {self._path}: {error}.") from error

    def size_at(self, offset: int) -> int:
        """The bytes of the record at an offset, as it says itself; 0 if it is damaged."""
        head = self.read_bytes(offset, _HEAD.size)
        if len(head) != _HEAD.size:
            return 0
        magic, header, body, *_ = _HEAD.unpack(head)
        return _HEAD.size + int(header) + int(body) if magic == MAGIC else 0

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def read(self, offset: int) -> Record:
        """The record at an offset.

        Raises
        ------
        LabelStoreError
            If there is no whole and undamaged record.
        """
        header, size, crc = self._read_header(offset)
        body = self._file.read(size)
        if len(body) != size or zlib.crc32(body) != crc:
            raise self._damaged(offset)
        return Record(header, body, self._file.tell() - size)

    def checked(self, offset: int) -> Record:
        """The record at an offset, its body compared with its checksum and left in the file.

        Raises as `read` does.
        """
        header, size, crc = self._read_header(offset)
        at = self._file.tell()
        body = StoredBody(self.read_bytes, at, size, crc)
        if not body.whole:
            raise self._damaged(offset)
        self._file.seek(at + size)
        return Record(header, b"", at, body)

    def read_header(self, offset: int) -> dict[str, Any]:
        """The header alone of the record at an offset."""
        return self._read_header(offset)[0]

    def _read_header(self, offset: int) -> tuple[dict[str, Any], int, int]:
        self._file.seek(offset)
        head = self._file.read(_HEAD.size)
        if len(head) != _HEAD.size:
            raise self._damaged(offset)
        magic, header_size, body_size, header_crc, body_crc = _HEAD.unpack(head)
        end = offset + _HEAD.size + header_size + body_size
        if magic != MAGIC or end > os.fstat(self._file.fileno()).st_size:
            raise self._damaged(offset)
        header = self._file.read(header_size)
        if zlib.crc32(header) != header_crc:
            raise self._damaged(offset)
        return json.loads(zlib.decompress(header)), body_size, body_crc

    def read_bytes(self, at: int, size: int) -> bytes:
        """A part of the file, as it lies there."""
        self._file.seek(at)
        return self._file.read(size)

    def _damaged(self, offset: int) -> LabelStoreError:
        return LabelStoreError(
            f"The journal {self._path} is damaged at byte {offset}: what was done before that "
            "edit is safe, but the edit itself cannot be read."
        )

    def records(self, start: int, *, bodies: bool = True) -> Iterator[tuple[int, Record]]:
        """(offset, record) of all whole records from `start`; `end` is then where they end.

        Without `bodies` they stay in the file, as for `checked`.
        """
        offset, size = start, os.fstat(self._file.fileno()).st_size
        self.end = offset
        while offset < size:
            try:
                record = self.read(offset) if bodies else self.checked(offset)
            except LabelStoreError:
                return
            self.end = self._file.tell()
            yield offset, record
            offset = self.end

    def salvage(self, start: int, end: int) -> Iterator[Record | None]:
        """All whole records from `start` to `end`, bodies left in the file as for `checked`.

        None stands for what is damaged in between.
        """
        offset = start
        while offset < end:
            try:
                record = self.checked(offset)
            except LabelStoreError:
                yield None
                offset = self._next_magic(offset + 1, end)
                continue
            offset = self._file.tell()
            yield record

    def _next_magic(self, start: int, end: int) -> int:
        """Where the next record may begin; `end` if nowhere."""
        found = self.read_bytes(start, end - start).find(MAGIC)
        return end if found < 0 else start + found

    def cut(self, end: int) -> None:
        """Drop everything from a byte on."""
        self.end = end
        self._file.truncate(end)

    def torn_tail(self) -> bytes:
        """What follows the last whole record."""
        self._file.seek(self.end)
        return self._file.read()
