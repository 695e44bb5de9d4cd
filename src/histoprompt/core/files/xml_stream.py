"""Large XML documents read element by element, so that they take the memory of one element.

As a tree, a document of outlines takes some ten times its size in the file. Here the elements of
the names that are asked for come one after the other, and are forgotten again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from histoprompt.core.errors import LabelError
from histoprompt.core.files.documents import check_ordinary, reason

MOST_PARTS = 1_000_000
"""Elements in one that is asked for, such as the corners of an outline."""


class FoundElement(NamedTuple):
    """An element that was asked for.

    Attributes
    ----------
    element : Element
        With all it holds, until the next one is asked for.
    around : tuple of Element
        Those it lies in, the outermost first; of them only the attributes are there.
    """

    element: ElementTree.Element
    around: tuple[ElementTree.Element, ...]


def xml_elements(path: Path, tags: Collection[str]) -> Iterator[FoundElement]:
    """The elements of some names, in order; what lies inside of one comes with it, not by itself.

    Parameters
    ----------
    path : Path
        An ordinary file, of any length: what has been read is forgotten.
    tags : collection of str

    Raises
    ------
    LabelError
        If the file cannot be read or is no XML, or one element holds more than
        `MOST_PARTS` others; elements before the fault have come by then.
    """
    try:
        check_ordinary(path)
        with path.open("rb") as file:
            yield from _Stream(path, tags).of(ElementTree.iterparse(file, events=("start", "end")))
    except OSError as fault:
        raise LabelError(f"{path} cannot be read: {reason(fault)}.") from fault
    except (ElementTree.ParseError, ValueError) as fault:
        raise LabelError(f"{path.name} is not readable XML ({fault}).") from fault


class _Stream:
    """Which elements are open, and how deep the outermost one that is asked for lies."""

    def __init__(self, path: Path, tags: Collection[str]) -> None:
        self._path, self._tags = path, tags
        self._open: list[ElementTree.Element] = []
        self._wanted = self._parts = 0

    def of(self, events: Iterator[tuple[str, ElementTree.Element]]) -> Iterator[FoundElement]:
        for event, element in events:
            if event == "start":
                self._begin(element)
                continue
            if self._wanted == len(self._open):
                yield FoundElement(element, tuple(self._open[:-1]))
                self._wanted = 0
            self._open.pop()
            if not self._wanted and self._open:
                self._open[-1].remove(element)

    def _begin(self, element: ElementTree.Element) -> None:
        self._open.append(element)
        self._parts = self._parts + 1 if self._wanted else 0
        if self._parts > MOST_PARTS:
            raise LabelError(
                f"{self._path.name} has a {self._open[self._wanted - 1].tag} of more than "
                f"{MOST_PARTS:,} parts, the most that is read of one."
            )
        if not self._wanted and element.tag in self._tags:
            self._wanted = len(self._open)
