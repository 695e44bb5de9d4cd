"""Large JSON documents read part by part, so that they take the memory of one part.

A document with a hundred thousand outlines is a hundred times larger as Python lists than as text.
Here the members of its one long list, or table, come one after the other.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import check_ordinary, parse_json, reason

_PIECE = 1 << 22
_decode = json.JSONDecoder().raw_decode
_SPACE = " \t\r\n"
_AFTER = frozenset((*_SPACE, ",", ":", "]", "}"))


class JsonPart(NamedTuple):
    """A part of a document.

    Attributes
    ----------
    key : str
        Of the outermost object; empty for the members of an outermost list.
    name : int, str or None
        Which member of a long list or table this is, lists counted from 0; None for a whole value,
        also a list or table without members.
    value : object
    """

    key: str
    name: int | str | None
    value: Any


def json_parts(path: Path, long: Collection[str]) -> Iterator[JsonPart]:
    """The parts of a JSON document, in order.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte-order mark.
    long : collection of str
        Keys of the outermost object whose members come one by one; other values come whole. One in
        an object inside is named with a stroke between: ``annotation/elements``.

    Yields
    ------
    Part

    Raises
    ------
    LabelError
        If it cannot be read or is no JSON; parts before the fault have come by then.
    """
    try:
        check_ordinary(path)
        with path.open("rb") as file:
            yield from _Parser(file, str(path)).document(long)
    except OSError as fault:
        raise LabelError(f"{path} cannot be read: {reason(fault)}.") from fault
    except UnicodeDecodeError as fault:
        raise LabelError(f"{path} is not UTF-8. Save it as text in UTF-8.") from fault
    except (ValueError, RecursionError) as fault:
        raise LabelError(f"{path} is not JSON that can be read: {fault}.") from fault


def json_head(path: Path, long: Collection[str]) -> dict[str, Any]:
    """The values of an outermost object without its long lists and tables.

    Raises
    ------
    LabelError
        As `json_parts`.
    """
    return {part.key: part.value for part in json_parts(path, long) if part.name is None}


class _Parser:
    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where = file, where
        self._text, self._at, self._ended = "", 0, False
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def document(self, long: Collection[str]) -> Iterator[JsonPart]:
        first = self._next()
        if first == "[":
            yield from self._members("", "[")
        elif first == "{":
            yield from self._object(long)
        else:
            yield JsonPart("", None, self._value())
        if self._next():
            raise ValueError(f"something follows its end at {self._text[self._at :][:20]!r}")

    def _object(self, long: Collection[str], above: str = "") -> Iterator[JsonPart]:
        for name in self._keys():
            key, start = f"{above}{name}", self._next()
            if key in long and start in ("[", "{"):
                yield from self._members(key, start)
            elif start == "{" and any(other.startswith(f"{key}/") for other in long):
                yield from self._object(long, f"{key}/")
            else:
                yield JsonPart(key, None, self._value())

    def _members(self, key: str, bracket: str) -> Iterator[JsonPart]:
        number = 0
        if bracket == "{":
            for number, name in enumerate(self._keys(), start=1):  # noqa: B007
                yield JsonPart(key, name, self._value())
        else:
            for number in self._numbers():
                yield JsonPart(key, number - 1, self._value())
        if not number:
            yield JsonPart(key, None, {} if bracket == "{" else [])

    def _numbers(self) -> Iterator[int]:
        """The members of a list, from 1; each is to be taken before the next is asked for."""
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        number = 0
        while True:
            number += 1
            yield number
            if self._take(",]") == "]":
                return

    def _keys(self) -> Iterator[str]:
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return
        while True:
            if self._next() != '"':
                raise ValueError(f"a name is missing at {self._text[self._at :][:20]!r}")
            key = self._value()
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def _take(self, wanted: str) -> str:
        found = self._next()
        if not found or found not in wanted:
            told = " or ".join(repr(c) for c in wanted)
            raise ValueError(f"{told} is missing at {self._text[self._at :][:20]!r}")
        self._at += 1
        return found

    def _next(self) -> str:
        """The next character that is no space, which is not taken; empty at the end."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except json.JSONDecodeError:
                if self._more():
                    continue
                raise
            # a number may go on in what is not read yet, as 7 in "7." does
            if self._text[end : end + 1] in _AFTER or not self._more():
                break
        text, self._at = self._text[self._at : end], end
        # half of a pair of surrogates is no character: the careful way
        return parse_json(text, self._where) if "\\u" in text else value

    def _more(self) -> bool:
        """Read on; false at the end of the file. Twice as much each time one value goes on."""
        if self._ended:
            return False
        kept = self._text[self._at :]
        data = self._file.read(max(_PIECE, len(kept)))
        self._ended = not data
        self._text = kept + self._decoder.decode(data, self._ended)
        self._at = 0
        return not self._ended
