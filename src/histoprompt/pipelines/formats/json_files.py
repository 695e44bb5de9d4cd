"""JSON out: lists too long for memory are written item by item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoprompt.core.files.closing import Closing

# Made once: `json.dumps` makes an encoder for every call.
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class JsonListFile(Closing):
    """A JSON object with one long list, written as its items come; use it in a ``with`` block.

    Parameters
    ----------
    path : Path
    head : mapping
        What stands before the list.
    name : str
        Key of the list.
    named : bool
        Whether the items have names: a table in place of a list.
    """

    def __init__(
        self, path: Path, head: Mapping[str, Any], name: str, *, named: bool = False
    ) -> None:
        self._file = path.open("w", encoding="utf-8", errors="replace")
        self._separator = "\n"
        self._brackets = "{}" if named else "[]"
        start = "".join(f"{json.dumps(k)}: {_dumps(v)},\n" for k, v in head.items())
        self._file.write("{" + start + f"{json.dumps(name)}: {self._brackets[0]}")

    def add(self, item: Mapping[str, Any]) -> None:
        """Write one item."""
        self._file.write(self._separator + _dumps(item))
        self._separator = ",\n"

    def add_named(self, name: str, item: Mapping[str, Any]) -> None:
        """Write one item of a table."""
        self._file.write(f"{self._separator}{json.dumps(name)}: {_dumps(item)}")
        self._separator = ",\n"

    def finish(self, tail: Mapping[str, Any]) -> None:
        """Write what stands after the list."""
        end = "".join(f",\n{json.dumps(k)}: {_dumps(v)}" for k, v in tail.items())
        self._file.write("\n" + self._brackets[1] + end + "}\n")

    def close(self) -> None:
        """Close the file, whole or not."""
        self._file.close()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a small object, indented for people."""
    # names of files may hold bytes that are no text
    path.write_text(json_text(content), encoding="utf-8", errors="replace")


def json_text(content: Any) -> str:
    """JSON as people can read it."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
