"""Fetching one file over HTTP: with progress, going on where an earlier try ended, and cancel.

The head of an answer says whether it is the file (and no sign-in page), whether it goes on from
where the earlier try ended, and whether the disk has room for it. Cancel, a dropped connection and
a full disk all leave what came so far, for the next try.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

import requests

from histoprompt.core import settings
from histoprompt.core.errors import WeightsError
from histoprompt.core.files.atomic import explained, free_bytes, is_full
from histoprompt.core.task import Task

# Small enough that Cancel is soon heard on a slow line.
CHUNK = 1 << 18
# Seconds to wait for a connection, and for the next bytes.
TIMEOUT = (15, 60)
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class DownloadSource:
    """Where a file is fetched from.

    Attributes
    ----------
    url : str
        Of the file itself.
    name : str
        The file's name, for people.
    page : str
        Where a person reads about it, signs in or asks for access.
    n_bytes : int or None
        Its size, where known.
    digest : str or None
        As published or as the server says.
    headers : mapping
        To send along.
    """

    url: str
    name: str
    page: str
    n_bytes: int | None = None
    digest: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def direct(url: str) -> str:
    """The address of the file behind a link that Dropbox or Google Drive made for sharing."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.hostname == "www.dropbox.com":
        return url.replace("dl=0", "dl=1")
    if parts.hostname == "drive.google.com":
        folders = parts.path.split("/")
        file_id = query["id"][0] if "id" in query else folders[folders.index("d") + 1]
        # Without `confirm` large files are answered with a page that says they were not scanned.
        base = "https://drive.usercontent.google.com/download"
        return f"{base}?id={file_id}&export=download&confirm=t"
    return url


def mark_of(part: Path) -> Path:
    """Where it is kept which version of the file an unfinished download is of."""
    return part.with_name(part.name + ".etag")


def fetch(source: DownloadSource, part: Path, task: Task) -> None:
    """Fetch a file; tries again as long as each try brings it further.

    Parameters
    ----------
    source : DownloadSource
        Where from.
    part : Path
        Where to. What lies there from an earlier try is continued if it is of the same file.
    task : Task
        Is told of progress in megabytes, and cancels.

    Raises
    ------
    WeightsError
        If the server refuses, has no such file, sends something else, cannot be reached, or the
        disk has no room. What came so far is kept.
    ExportError
        If the file cannot be written.
    """
    with explained(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        before = _size(part)
        try:
            _Transfer(source, part, task).run()
        except requests.RequestException as error:
            if _size(part) <= before:
                raise _unreachable(source, part, error) from error
        except _StartAgainError:
            part.unlink(missing_ok=True)
        else:
            return


class _StartAgainError(Exception):
    """The server does not want to go on from where the earlier try ended."""


class _Transfer:
    """One request and what it writes."""

    def __init__(self, source: DownloadSource, part: Path, task: Task) -> None:
        self._source = source
        self._part = part
        self._task = task
        self._mark = mark_of(part)
        self._total = source.n_bytes or 0
        self._file: BinaryIO

    def run(self) -> None:
        headers = {**self._source.headers, "Accept-Encoding": "identity", **self._continue()}
        try:
            with self._part.open("ab") as self._file:
                self._step()
                self._take(headers)
            self._mark.unlink(missing_ok=True)
        except requests.RequestException:
            raise  # which are OSErrors too
        except OSError as error:
            if is_full(error):
                raise _no_room(self._source, self._part, os.strerror(error.errno or 0)) from error
            with explained(self._part):
                raise

    def _continue(self) -> dict[str, str]:
        """Ask for the rest, if it can be told that it is of the same file."""
        have = _size(self._part)
        mark = self._mark.read_text(encoding="ascii") if self._mark.is_file() else ""
        if have and not mark and self._source.digest is None:
            self._part.unlink()
            return {}
        going_on = {"Range": f"bytes={have}-"} if have else {}
        return {**going_on, "If-Range": mark} if have and mark else going_on

    # -- one answer ---------------------------------------------------------------------------

    def _take(self, headers: Mapping[str, str]) -> None:
        """Ask, and write what is answered."""
        url = self._source.url
        with requests.get(url, headers=headers, timeout=TIMEOUT, stream=True) as response:
            self._begin(response)
            for chunk in response.iter_content(CHUNK):
                self._file.write(chunk)
                self._file.flush()
                self._step()

    def _begin(self, response: requests.Response) -> None:
        """Look at the head of the answer before anything is written."""
        if response.status_code == 416:
            raise _StartAgainError
        _check_status(self._source, response)
        if response.status_code != 206:
            self._file.truncate(0)
        have = _size(self._part)
        self._total = _total(response, have)
        self._check_size()
        self._check_room(self._total - have)
        etag = response.headers.get("ETag", "")
        self._mark.write_text("" if etag.startswith("W/") else etag, encoding="ascii")

    # -- checks -------------------------------------------------------------------------------

    def _step(self) -> None:
        done = self._file.tell()
        total = max(self._total, done) if self._total else 0
        self._task.step(done // MB, -(-total // MB), f"Fetching {self._source.name} (MB)")

    def _check_size(self) -> None:
        expected = self._source.n_bytes
        if expected is not None and self._total and self._total != expected:
            raise WeightsError(
                f"{self._source.url} offers {self._total:,} bytes for {self._source.name}, "
                f"published are {expected:,}: it is another file, so it was not fetched. See "
                f"{self._source.page}."
            )

    def _check_room(self, needed: int) -> None:
        free = free_bytes(self._part)
        if needed > free:
            raise _no_room(self._source, self._part, f"{needed // MB + 1} MB are needed")


def _check_status(source: DownloadSource, response: requests.Response) -> None:
    status = response.status_code
    if status in {401, 403}:
        raise WeightsError(
            f"{source.url} does not give out {source.name} (HTTP {status}): it wants you to sign "
            f"in or to ask for access. Visit {source.page}, fetch the file there and import it."
        )
    if status in {404, 410}:
        raise WeightsError(
            f"{source.name} is no longer at {source.url} (HTTP {status}). Look at {source.page} "
            "for a new place; a file fetched by hand can be imported."
        )
    if status >= 400:
        raise WeightsError(
            f"{source.url} answers HTTP {status} ({response.reason}). Try again later: what came "
            "so far is kept."
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise WeightsError(
            f"{source.url} sent a web page instead of {source.name}: a sign-in page, a firewall, "
            f"or a file that is gone. Visit {source.page} in a browser, fetch the file there and "
            "import it."
        )


def _total(response: requests.Response, have: int) -> int:
    """Size in bytes of the whole file; 0 where the server does not say."""
    if response.status_code == 206:
        span, _, total = response.headers.get("Content-Range", "").partition("/")
        if span.partition("-")[0] != f"bytes {have}":
            raise _StartAgainError
        return int(total) if total.isdigit() else 0
    return int(response.headers.get("Content-Length", 0))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _unreachable(source: DownloadSource, part: Path, error: Exception) -> WeightsError:
    kept = f" {_size(part) / MB:.1f} MB are kept, and the next try goes on from there."
    return WeightsError(
        f"{source.name} could not be fetched from {urlsplit(source.url).hostname}: "
        f"{_reason(error)}. Check the connection and the proxy (HTTPS_PROXY), or fetch it on "
        f"another machine and import it.{kept if _size(part) else ''}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "it does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was dropped"
    return "no connection"


def _no_room(source: DownloadSource, part: Path, why: str) -> WeightsError:
    free = free_bytes(part) // MB
    return WeightsError(
        f"There is no room for {source.name} in {part.parent}: {why}, {free} MB are free. Free "
        f"some space, or set {settings.HOME_VARIABLE} to a folder on another disk. What came so "
        "far is kept."
    )
