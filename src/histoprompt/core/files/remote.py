"""Files behind addresses, read in parts through fsspec; what can go wrong becomes a sentence.

Only the blocks that are asked for travel. A server must send parts of files for that (range
requests); one that does not is refused, as every look would be a download of the whole slide.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from histoprompt.core.errors import SlideError
from histoprompt.core.strings.addresses import SCHEMES, address_name, host_of, scheme_of
from histoprompt.core.strings.printable import one_line, reason_of

# Bytes that are asked for at a time, and how many such blocks of one file are kept.
BLOCK, _KEPT = 128 * 1024, 256
# Seconds a server may be silent, and how often a lost connection is tried again.
CONNECT_S, SILENT_S = 10.0, 30.0
ATTEMPTS = 3
_PAUSE_S = 0.3
_INSTALL = (
    "Slides behind addresses need further packages: pip install 'napari-histoprompt[remote]'."
)
_LOST = {"ServerDisconnectedError", "ClientPayloadError", "ClientOSError", "ConnectionResetError"}
_BUSY = (429, 500, 502, 503, 504)
_NO_PARTS = "support range requests"


class NotThereError(SlideError):
    """The server answers that there is nothing at an address."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder behind an address, such as an OME-Zarr image.

    Attributes
    ----------
    address : str
        Without a slash at its end.
    """

    address: str

    @property
    def name(self) -> str:
        """Its last part."""
        return address_name(self.address)


class RemoteFile:
    """A file behind an address, with the few methods of `pathlib.Path` that readers use.

    Parameters
    ----------
    address : str

    Raises
    ------
    NotThereError
        If the server has no such file.
    SlideError
        If it cannot be reached, refuses, or does not send parts of files.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.name = address_name(address)
        self.suffix = PurePosixPath(self.name).suffix
        self._lock = threading.Lock()
        with _told(address):
            files = file_system(address)
            self._file = files.open(
                address, "rb", block_size=BLOCK, cache_type="blockcache",
                cache_options={"maxblocks": _KEPT},
            )  # fmt: skip
        self.size = int(getattr(self._file, "size", None) or 0)
        if not self.size:
            self._file.close()
            raise no_parts(address)

    def at(self, start: int, count: int) -> bytes:
        """Bytes from a place on, fewer at the end of the file; safe from many threads."""
        for left in reversed(range(ATTEMPTS)):
            try:
                with self._lock:
                    self._file.seek(min(start, self.size))
                    data: bytes = self._file.read(max(0, min(count, self.size - start)))
                    return data
            except network_errors() as error:
                if not (left and may_pass(error)):
                    raise told(self.address, error) from error
                time.sleep(_PAUSE_S * (ATTEMPTS - left))
        raise AssertionError

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """A position of its own in the file."""
        if mode != "rb":
            raise ValueError(f"{self.name} is only read, not opened with {mode}")
        return io.BufferedReader(_View(self))

    def close(self) -> None:
        """Forget what was read."""
        self._file.close()


Place: TypeAlias = Path | RemoteFile


def size_of(place: Place) -> int:
    """Bytes of a file, wherever it is."""
    return place.size if isinstance(place, RemoteFile) else place.stat().st_size


def stated_path(place: Place | RemoteFolder) -> str:
    """How a slide says where it is: an absolute path or an address."""
    return str(place.resolve()) if isinstance(place, Path) else place.address


class _View(io.RawIOBase):
    """A stream over a remote file."""

    def __init__(self, file: RemoteFile) -> None:
        self._remote, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = (0, self._position, self._remote.size)[whence]
        if base + offset < 0:
            raise ValueError(f"there is no byte {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        data = self._remote.at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def file_system(address: str, *, asynchronous: bool = False) -> Any:
    """Fsspec's file system for an address.

    Raises
    ------
    SlideError
        If its kind is not known, or the packages for it are not installed.
    """
    scheme = scheme_of(address)
    if scheme not in SCHEMES:
        raise SlideError(
            f"{one_line(address)} begins with {scheme}://. histoprompt opens addresses with "
            f"{', '.join(f'{s}://' for s in SCHEMES)}, and files."
        )
    needed = ("fsspec", "s3fs") if scheme == "s3" else ("fsspec", "aiohttp")
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise SlideError(f"{one_line(address)} cannot be opened. {_INSTALL}")
    import fsspec

    options = _s3_options() if scheme == "s3" else _http_options()
    return fsspec.filesystem(scheme, asynchronous=asynchronous, **options)


def _http_options() -> dict[str, Any]:
    import aiohttp

    patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
    return {"client_kwargs": {"timeout": patience, "trust_env": True}}


def _s3_options() -> dict[str, Any]:
    """The person's own credentials where there are some; buckets for everybody need none."""
    from botocore.session import get_session

    patience = {"connect_timeout": CONNECT_S, "read_timeout": SILENT_S}
    anonymous = get_session().get_credentials() is None
    return {"anon": anonymous, "config_kwargs": {**patience, "retries": {"max_attempts": ATTEMPTS}}}


def network_errors() -> tuple[type[BaseException], ...]:
    """What reading over the network raises; only of the packages that are in use."""
    found: list[type[BaseException]] = [OSError, ValueError, asyncio.TimeoutError]
    if importlib.util.find_spec("aiohttp") is not None:
        from aiohttp import ClientError

        found.append(ClientError)
    if importlib.util.find_spec("botocore") is not None:
        from botocore.exceptions import BotoCoreError
        from botocore.exceptions import ClientError as AnswerError

        found += [BotoCoreError, AnswerError]
    return tuple(found)


def may_pass(error: BaseException) -> bool:
    """Whether the same may go well a moment later: a lost connection, a server too busy."""
    names = {type(e).__name__ for e in _chain(error)}
    return bool(names & _LOST) or any(_status(e) in _BUSY for e in _chain(error))


class _told:  # noqa: N801 - read as a word: `with _told(address):`
    """Turns what the network raises in a block into a sentence."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and isinstance(error, network_errors()):
            raise told(self._address, error) from error


def told(address: str, error: BaseException) -> SlideError:
    """What an error of the network means to a person, and what to do."""
    chain = list(_chain(error))
    where, host = one_line(address), one_line(host_of(address))
    names = {type(e).__name__ for e in chain}
    status = next((s for s in map(_status, chain) if s), 0)
    if any(isinstance(e, TimeoutError | asyncio.TimeoutError) for e in chain) or any(
        "Timeout" in name for name in names
    ):
        return SlideError(
            f"{host} did not answer for {SILENT_S:g} s. Check the network and try again, or copy "
            "the slide to a disk."
        )
    if names & {"ClientConnectorError", "ClientConnectorDNSError", "EndpointConnectionError",
                "ConnectionRefusedError"}:  # fmt: skip
        return SlideError(
            f"{host} cannot be reached. Check the address, the network, and that the server runs."
        )
    if any(isinstance(e, ValueError) and _NO_PARTS in str(e) for e in chain):
        return no_parts(address)
    if status in (401, 403) or any(isinstance(e, PermissionError) for e in chain):
        return SlideError(
            f"{host} does not let you read {where}. Check the address and your rights to it."
        )
    if status in (404, 410) or (not status and isinstance(error, FileNotFoundError)):
        return NotThereError(f"{where} does not exist on the server. Check the address.")
    said = f"the server answers with status {status}" if status else reason_of(error)
    return SlideError(f"{where} cannot be read ({said}). Try again later.")


def no_parts(address: str) -> SlideError:
    """The refusal of a server that sends whole files only."""
    return SlideError(
        f"{one_line(host_of(address))} sends whole files only (no range requests), so every look "
        "at the slide would be a download of all of it. Download it once and open the file."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int:
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status
    answer = getattr(error, "response", None)
    meta = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    return int(meta.get("HTTPStatusCode", 0) or 0)
