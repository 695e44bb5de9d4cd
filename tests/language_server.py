"""A language model on loopback, as a small server: good answers, nonsense, nobody there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

GOOD = {
    "wordings": ["lymphocyte", "lymphoid tissue", "inflammation", 7, "lymphocyte"],
    "shape": ["round"], "colour": ["dark"], "size": ["small"], "place": ["stroma"],
    "not": ["plasma cell"], "danger": ["rm -rf"],
}  # fmt: skip


class Server(HTTPServer):
    """Answers everything with `answer`."""

    status, answer = 200, b""
    asked: list[dict]

    def speak(self, content: str) -> None:
        self.answer = json.dumps({"choices": [{"message": {"content": content}}]}).encode()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append({"path": self.path, **json.loads(body)})
        self.send_response(self.server.status)
        self.send_header("Location", "http://example.org/")
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def language_server() -> Iterator[Server]:
    """Listens on a free port of this machine."""
    found = Server(("127.0.0.1", 0), Handler)
    found.asked = []
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"
