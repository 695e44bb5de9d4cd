"""The classes of a slide's objects: names, colours that stay, and which are ignored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from histoprompt.core.errors import LabelStoreError
from histoprompt.core.labels.classes import Colour, cell_colours

IGNORED = "*"
"""Ends the name of a class that is left out of exports and counts, as QuPath writes it: Ignore*."""

LONGEST = 100


@dataclass(frozen=True)
class ObjectClass:
    """A class of the list.

    Attributes
    ----------
    name : str
        Ends with ``*`` if its objects are left out of exports and counts.
    colour : (r, g, b)
        0 ... 255.
    """

    name: str
    colour: Colour

    @property
    def ignored(self) -> bool:
        """Whether its objects are left out of exports and counts."""
        return is_ignored(self.name)

    def to_row(self) -> list[str]:
        """Name and ``#rrggbb``."""
        return [self.name, "#{:02x}{:02x}{:02x}".format(*self.colour)]

    @classmethod
    def from_row(cls, row: Sequence[str]) -> ObjectClass:
        """What `to_row` gave."""
        name, colour = row
        r, g, b = bytes.fromhex(colour[1:])
        return cls(name, (r, g, b))


def is_ignored(name: str) -> bool:
    """Whether objects of a class are left out of exports and counts."""
    return name.endswith(IGNORED)


def full_list(chosen: Sequence[ObjectClass], used: Iterable[str]) -> tuple[ObjectClass, ...]:
    """A list of classes with those in use that are not in it yet behind, in colours still free.

    Parameters
    ----------
    chosen : sequence of ObjectClass
    used : iterable of str
        In the order they came into use.
    """
    known = {item.name for item in chosen}
    more = [name for name in dict.fromkeys(used) if name and name not in known]
    if not more:
        return tuple(chosen)
    palette = cell_colours(more, colours={item.name: item.colour for item in chosen})
    return (*chosen, *(ObjectClass(name, palette[name]) for name in more))


def with_others(
    new: Sequence[ObjectClass], there: Sequence[ObjectClass]
) -> tuple[ObjectClass, ...]:
    """A new list with those behind it that were there and that it does not name."""
    names = {item.name for item in new}
    return (*new, *(item for item in there if item.name not in names))


def renamed(classes: Sequence[ObjectClass], old: str, new: str) -> tuple[ObjectClass, ...]:
    """The list with a class under another name; if that is there already, without the old one."""
    if any(item.name == new for item in classes):
        return tuple(item for item in classes if item.name != old)
    return tuple(replace(item, name=new) if item.name == old else item for item in classes)


def recoloured(
    classes: Sequence[ObjectClass], name: str, colour: Colour
) -> tuple[ObjectClass, ...]:
    """The list with another colour for a class."""
    return tuple(replace(c, colour=colour) if c.name == name else c for c in classes)


def moved(classes: Sequence[ObjectClass], name: str, by: int) -> tuple[ObjectClass, ...]:
    """The list with a class some places further down; up if negative."""
    names = [item.name for item in classes]
    at = names.index(name)
    out = list(classes)
    out.insert(min(max(at + by, 0), len(out) - 1), out.pop(at))
    return tuple(out)


def checked_list(classes: Iterable[ObjectClass]) -> tuple[ObjectClass, ...]:
    """A list of classes without faults.

    Raises
    ------
    LabelStoreError
        If a name is empty, too long, of several lines or there twice, or a colour is none.
    """
    found = tuple(classes)
    names = [item.name for item in found]
    for item in found:
        name = item.name
        if (
            not name.strip()
            or name != name.strip()
            or len(name) > LONGEST
            or not name.isprintable()
        ):
            raise LabelStoreError(
                f"A class cannot be called {name[:LONGEST]!r}: a name is one line of 1 to "
                f"{LONGEST} characters, without spaces at its ends."
            )
        if names.count(name) > 1:
            raise LabelStoreError(f"The class {name!r} is in the list twice. Give it one row.")
        if len(item.colour) != 3 or not all(0 <= value <= 255 for value in item.colour):
            raise LabelStoreError(f"The colour {item.colour} of the class {name!r} is none.")
    return found
