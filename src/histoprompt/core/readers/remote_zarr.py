"""Zarr chunks behind an address, with the errors of the network put into words."""

from __future__ import annotations

import asyncio
from typing import Any

from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore

from histoprompt.core.files.remote import (
    ATTEMPTS,
    RemoteFolder,
    file_system,
    may_pass,
    network_errors,
    no_parts,
    told,
)

_PAUSE_S = 0.3


class RemoteStore(FsspecStore):
    """Reads chunks one by one, several at once; nothing is listed and nothing written."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a chunk or a part of it; None where there is none.

        Raises
        ------
        SlideError
            If the server cannot be reached, refuses, or sends more than was asked for.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                found = await super().get(key, prototype, byte_range)
                break
            except network_errors() as error:
                if not (left and may_pass(error)):
                    raise told(str(self.path), error) from error
                await asyncio.sleep(_PAUSE_S * (ATTEMPTS - left))
        most = _asked_for(byte_range)
        if found is not None and most is not None and len(found) > most:
            raise no_parts(str(self.path))
        return found


def _asked_for(part: ByteRequest | None) -> int | None:
    if isinstance(part, RangeByteRequest):
        return part.end - part.start
    return part.suffix if isinstance(part, SuffixByteRequest) else None


def store_at(folder: RemoteFolder) -> RemoteStore:
    """The store of a folder behind an address; raises `SlideError` if packages are missing."""
    files: Any = file_system(folder.address, asynchronous=True)
    return RemoteStore(files, read_only=True, path=files._strip_protocol(folder.address))
