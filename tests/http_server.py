"""A web server on this machine that can misbehave in every way a download meets."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class File:
    """One file and how it is served.

    Attributes
    ----------
    content : bytes
    ranges : bool
        Whether a part of it may be asked for.
    cuts : list of int
        For the next answers: after how many bytes the connection is dropped.
    status : int
        Answered in place of the file, if not 200.
    headers : dict
        Sent along; replaces what would be sent.
    location : str
        Where an answer sends the client on to.
    token : str
        Without this token the answer is 401.
    gate : threading.Event or None
        Waited for in the middle of the answer.
    """

    content: bytes = b""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    token: str = ""
    gate: threading.Event | None = None

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


class Server(ThreadingHTTPServer):
    """Serves `files` by path; `requests` are (method, path, headers in small letters)."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.files: dict[str, File] = {}
        self.sent = 0  # bytes of files
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ranges(self) -> list[str | None]:
        """The part each GET asked for."""
        return [headers.get("range") for method, _, headers in self.requests if method == "GET"]

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        # A client would go on to talk to this server after the test that it was made for.
        self.close_connection = True
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers))
        file = self.server.files.get(path, File(status=404))
        if file.token and self.headers.get("Authorization") != f"Bearer {file.token}":
            file = File(status=401, headers=file.headers)
        if file.status != 200 or file.location:
            self._send(302 if file.location else file.status, {"Location": file.location}, file)
            self.end_headers()
            return
        start, stop = self._part(file)
        part = start > 0 or stop < len(file.content)
        self._send(206 if part else 200, self._facts(file, start, stop), file)
        self.end_headers()
        if body:
            self._write(file, start, stop)

    def _part(self, file: File) -> tuple[int, int]:
        """The bytes that are asked for, as far as there are such."""
        size = len(file.content)
        if not file.ranges or self.headers.get("If-Range", file.etag) != file.etag:
            return 0, size
        first, _, last = self.headers.get("Range", "bytes=0-")[6:].partition("-")
        if not first:
            return max(0, size - int(last)), size
        return int(first), min(size, int(last) + 1) if last else size

    def _facts(self, file: File, start: int, stop: int) -> dict[str, str]:
        size = len(file.content)
        facts = {"ETag": file.etag, "Content-Length": str(stop - start)}
        if start > 0 or stop < size:
            facts["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return facts

    def _send(self, status: int, facts: dict[str, str], file: File) -> None:
        self.send_response(status)
        if status not in {200, 206}:
            facts = {**facts, "Content-Length": "0"}
        for name, value in {**facts, "Connection": "close", **file.headers}.items():
            if value:
                self.send_header(name, value)

    def _write(self, file: File, start: int, stop: int) -> None:
        content = file.content[start:stop]
        if file.gate is not None:
            half = len(content) // 2
            self.wfile.write(content[:half])
            file.gate.wait()
            content = content[half:]
        cut = file.cuts.pop(0) if file.cuts else len(content)
        self.wfile.write(content[:cut])
        self.server.sent += cut


@contextmanager
def running(port: int = 0) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
