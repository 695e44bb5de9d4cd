"""What a store knows beside pixels, changed in transactions: objects of each plane, and classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from histoprompt.annotations.class_list import ObjectClass, full_list
from histoprompt.annotations.object_changes import ObjectChanges, number_of
from histoprompt.annotations.objects import ObjectTable, measure
from histoprompt.annotations.planes import PLANES, Key
from histoprompt.core.geometry import Box


class LabelState:
    """The tables of both planes and the list of classes.

    Attributes
    ----------
    tables : tuple of ObjectTable
        In the order of `PLANES`.
    classes : tuple of ObjectClass
        The list people chose, in their order.
    """

    def __init__(self) -> None:
        self.tables = tuple(ObjectTable(plane) for plane in range(len(PLANES)))
        self.classes: tuple[ObjectClass, ...] = ()
        self.begin()

    def begin(self) -> None:
        """Start a transaction."""
        self._old_classes = self.classes
        for table in self.tables:
            table.begin()

    def settle(self, record: int, step: int) -> None:
        """After a step: forget the objects that are gone, and say what made the new ones."""
        for table in self.tables:
            table.settle(record, step)

    def rollback(self) -> None:
        """Take the transaction back."""
        self.classes = self._old_classes
        for table in self.tables:
            table.rollback()

    def changes(self) -> dict[str, Any]:
        """What the transaction changed beside pixels, as JSON has it; objects always, others if so.

        A record of a store from before there were planes tells of objects only.
        """
        told: dict[str, Any] = {}
        for plane, table in zip(PLANES, self.tables, strict=True):
            changed = table.meta_changes()
            if len(changed.ids) or plane == PLANES[0]:
                told[plane] = changed.to_json()
        if self.classes != self._old_classes:
            both = (self._old_classes, self.classes)
            told["classes"] = [[item.to_row() for item in state] for state in both]
        return told

    def apply(self, header: Mapping[str, Any], after: bool) -> None:
        """Set what `changes` told, as it was after or before."""
        for plane, table in zip(PLANES, self.tables, strict=True):
            if plane in header:
                table.apply_meta(ObjectChanges.of(header[plane]), after)
        if "classes" in header:
            rows = header["classes"][int(after)]
            self.classes = tuple(ObjectClass.from_row(row) for row in rows)

    def boxes(self, header: Mapping[str, Any]) -> list[Box]:
        """Where the objects lie that a record tells of and that are there."""
        found = [
            table.box_of(i)
            for plane, table in zip(PLANES, self.tables, strict=True)
            if plane in header
            for i in ObjectChanges.of(header[plane]).ids.tolist()
        ]
        return [box for box in found if box is not None]

    def know(self, name: str) -> None:
        """Put a class that comes into use into the list, with a colour that it keeps."""
        self.classes = full_list(self.classes, [name])

    def know_all(self) -> None:
        """Put classes in use into the list that a store from before there was one lacks."""
        first: dict[str, int] = {}
        for table in self.tables:
            for name, object_id in table.meta.first_of_classes().items():
                first[name] = min(object_id, first.get(name, object_id))
        self.classes = full_list(self.classes, sorted(first, key=lambda name: (first[name], name)))

    def rename(self, names: Mapping[str, str]) -> None:
        """Give all objects of some classes others."""
        for table in self.tables:
            for i in table.meta.of_classes(names).tolist():
                table.set_class([i], names[table.known(i).class_name])

    def measure(self, key: Key, labels: Any, *, known: bool = False) -> None:
        """Bring the table of a chunk's plane up to date with its labels, (n, n) uint32.

        `known` is whether a record tells what made its objects; else `settle` does.
        """
        self.tables[key[0]].set_cells(key, measure(key, labels), known=known)

    def filled(self) -> Iterable[Key]:
        """The chunks of both planes that hold something."""
        return [key for table in self.tables for key in table.filled()]


def is_change(changes: Mapping[str, Any]) -> bool:
    """Whether `LabelState.changes` told of any."""
    return "classes" in changes or any(number_of(changes[p]) for p in PLANES if p in changes)
