"""Labels of other programs into a slide's label store: first what would change, then one edit.

An object of the file is the same as one of the store if it has its id and they share a pixel, or if
both cover exactly the same pixels; then the store's object takes the file's outline and class. All
others are added under ids that are free. Of objects of one file that overlap, the later one keeps
the pixels; between the file and the store the rule ``keep`` or ``overwrite`` decides, as it does
for every commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.edits import Rule
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.labels.contours import bounds, fill
from histoprompt.core.labels.sources import LabelSource, SparseLabels, extent, pieces
from histoprompt.core.labels.table import LabelTable, scan
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.formats.annotation import Annotation, Reading
from histoprompt.pipelines.formats.catalogue import FileFormat, file_format, format_of
from histoprompt.pipelines.formats.polygons import from_polygon

_FILL, _BLOCK = 4096, 2048
_MOST_ID = 2**32 - 1


@dataclass(frozen=True, eq=False)
class Incoming:
    """The objects of a file, as labels of the slide.

    Attributes
    ----------
    path : Path
    format : FileFormat
    labels : LabelSource
        Level-0 pixels; ids are the file's where it has them.
    table : LabelTable
    classes : Classes
        Names that the file gives; objects without one have the empty name.
    outside, repaired, points : int
        Objects wholly outside the slide, with mended outlines, and without any.
    problems : tuple of str
        A line for each object that was left out.
    """

    path: Path
    format: FileFormat
    labels: LabelSource
    table: LabelTable
    classes: Classes
    outside: int = 0
    repaired: int = 0
    points: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ImportPlan:
    """What an import would do to a store.

    Attributes
    ----------
    incoming : Incoming
    rule : {"keep", "overwrite"}
    ids : mapping of int to int
        The store's id of each of the file's; 0 for one that would have no pixel left.
    added, changed, same : tuple of int
        Ids of the file: new ones, those that change an object of the store, and those that are in
        it already.
    removed : tuple of int
        Ids of the store's objects that would have no pixel left.
    overlapping : int
        New objects that share a pixel with other objects of the store.
    """

    incoming: Incoming
    rule: Rule
    ids: Mapping[int, int] = field(default_factory=dict)
    added: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    same: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    overlapping: int = 0

    def __str__(self) -> str:
        found = self.incoming
        return (
            f"added {len(self.added)} changed {len(self.changed)} removed {len(self.removed)} "
            f"outside {found.outside} repaired {found.repaired}"
        )


def read_incoming(
    slide: Slide,
    path: Path,
    task: Task,
    *,
    name: str | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    strict: bool = False,
) -> Incoming:
    """Read a file of annotations.

    Parameters
    ----------
    slide : Slide
        That they belong to.
    path : Path
    task : Task
    name : str, optional
        Of the format; told by content if not given.
    offset : (row, col)
        Level-0 position of the file's first pixel.
    scale : float
        Level-0 pixels a pixel of the file.
    strict : bool
        Whether an object that cannot be used ends the import.

    Raises
    ------
    LabelError
        If the file cannot be read, holds no object, or, if strict, an object cannot be used.
    """
    kind = file_format(name) if name else format_of(path)
    reading = Reading(path, slide.shape, offset, scale, strict)
    if kind.load is not None:
        found = kind.load(reading)
        _check_inside(found.labels, slide, path)
        names = Classes(found.classes.names, found.classes.colours, "")
        return Incoming(path, kind, found.labels, scan(found.labels, task), names)
    if kind.read is None:
        raise LabelError(f"{kind.title} is written but not read here.")
    painter = _Painter(slide)
    for done, item in enumerate(kind.read(reading)):
        if done % 256 == 0:
            task.step(0, 0, f"Reading object {done + 1} of {path.name}")
        painter.add(item, reading)
    if not painter.seen:
        lines = "; ".join(reading.problems[:3])
        raise LabelError(f"{path.name} holds no object that can be used. {lines}".strip())
    labels, names = painter.labels, Classes(painter.names, painter.colours, "")
    return Incoming(
        path,
        kind,
        labels,
        scan(labels, task),
        names,
        painter.outside,
        painter.repaired,
        painter.points,
        tuple(reading.problems),
    )


def plan_import(
    store: LabelStore, incoming: Incoming, task: Task, rule: Rule = "keep"
) -> ImportPlan:
    """Work out what an import would change; the store stays as it is."""
    pairs = _overlaps(store, incoming, task)
    own = dict(zip(incoming.table.ids.tolist(), incoming.table.areas.tolist(), strict=True))
    areas = {record.id: record.area_px for record in store.objects()}
    partner = _partners(pairs, own, areas)
    free = (i for i in count(max([0, *areas]) + 1) if i not in own or i in areas)
    ids, taken = {}, set(areas)
    for label in own:
        if label in partner:
            ids[label] = partner[label]
        else:
            ids[label] = label if label not in taken else next(i for i in free if i not in taken)
            taken.add(ids[label])
    same = tuple(
        i for i, j in partner.items() if _is_same(store, incoming, (i, j), pairs, (own, areas))
    )
    lost = _lost(pairs, areas, set(partner.values()), rule)
    blocked = _blocked(pairs, own, set(partner)) if rule == "keep" else set()
    added = [i for i in own if i not in partner]
    met = {i for i, j in pairs if i in set(added) and j}
    return ImportPlan(
        incoming,
        rule,
        {i: 0 if i in blocked else j for i, j in ids.items()},
        tuple(i for i in added if i not in blocked),
        tuple(i for i in partner if i not in set(same)),
        same,
        lost,
        len(met),
    )


def apply_import(store: LabelStore, plan: ImportPlan, task: Task) -> None:
    """Make the changes of a plan as one edit that undo takes back.

    Raises
    ------
    LabelStoreError
        If the store was closed, or the disk does not take the labels; nothing was changed then.
    Cancelled
        If the user cancelled; nothing was changed.
    """
    found = plan.incoming
    changed = {plan.ids[i] for i in plan.changed}
    info = {
        "imported from": found.path.name,
        "format": found.format.name,
        "sha256": _digest(found.path) if found.path.is_file() else None,
    }
    boxes = [part for box in found.labels.filled_boxes() for part in pieces(box, _BLOCK)]
    with store.group("import"):
        _clear(store, changed, boxes)
        for done, box in enumerate(boxes):
            task.step(done, len(boxes), f"Importing {found.path.name}")
            before = store.read(box)
            incoming = _renumbered(found.labels.read(box), plan, skip=set(plan.same))
            place = incoming > 0
            if plan.rule == "keep":
                place &= (before == 0) | np.isin(before, list(changed))
            before[np.isin(before, list(changed))] = 0
            before[place] = incoming[place]
            store.write(box, before, "import", info)
        _name(store, plan)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Painter:
    """Annotations painted one after the other into labels that take memory where they are."""

    def __init__(self, slide: Slide) -> None:
        self.labels = SparseLabels(slide.shape)
        self.names: dict[int, str] = {}
        self.colours: dict[str, Colour] = {}
        self.seen = self.outside = self.repaired = self.points = 0
        self._parts: dict[int, int] = {}
        self._next = 1

    def add(self, item: Annotation, reading: Reading) -> None:
        """Paint one annotation."""
        self.seen += 1
        if not item.polygons:
            self.points += 1
            return
        outline = [from_polygon(p) for p in item.polygons]
        inside = bounds(outline).intersection(Box.of_shape(self.labels.shape))
        if inside is None:
            self.outside += 1
            return
        label = self._label(item, reading)
        painted = False
        for part in pieces(inside, _FILL):
            mask = fill(outline, part)
            painted |= bool(mask.any())
            self.labels.paste(mask.astype(np.uint32) * np.uint32(label), part)
        if not painted:
            reading.skip(item.where, "it is smaller than a pixel")
            return
        self.repaired += item.repaired
        self.names[label] = item.class_name
        if item.colour and item.class_name:
            self.colours[item.class_name] = item.colour

    def _label(self, item: Annotation, reading: Reading) -> int:
        if item.part_of in self._parts and item.part_of:
            return self._parts[item.part_of]
        label = item.id if 0 < item.id <= _MOST_ID and item.id not in self.names else 0
        if not label:
            while self._next in self.names:
                self._next += 1
            label = self._next
        if item.part_of:
            self._parts[item.part_of] = label
        return label


def _check_inside(labels: LabelSource, slide: Slide, path: Path) -> None:
    place = extent(labels)
    if not slide.box.covers(place):
        raise LabelError(
            f"{path.name} covers rows {place.r0:g} to {place.r1:g} and columns {place.c0:g} to "
            f"{place.c1:g}, but {slide.name} has {slide.shape[0]} rows and {slide.shape[1]} "
            "columns. Is it of another slide?"
        )


def _overlaps(store: LabelStore, incoming: Incoming, task: Task) -> dict[tuple[int, int], int]:
    """Pixels that each object of the file shares with each of the store."""
    found: dict[tuple[int, int], int] = {}
    boxes = [part for box in incoming.labels.filled_boxes() for part in pieces(box, _BLOCK)]
    for done, box in enumerate(boxes):
        task.step(done, len(boxes), "Comparing with what is there")
        new, old = incoming.labels.read(box), store.read(box)
        both = (new > 0) & (old > 0)
        keys = new[both].astype(np.uint64) << np.uint64(32) | old[both]
        values, counts = np.unique(keys, return_counts=True)
        for key, n in zip(values.tolist(), counts.tolist(), strict=True):
            pair = (key >> 32, key & 0xFFFFFFFF)
            found[pair] = found.get(pair, 0) + n
    return found


def _partners(
    pairs: Mapping[tuple[int, int], int], own: Mapping[int, int], areas: Mapping[int, int]
) -> dict[int, int]:
    """The object of the store that each of the file is: by id, or by covering the same pixels."""
    partner = {i: j for i, j in pairs if i == j}
    used = set(partner.values())
    for (i, j), n in pairs.items():
        if i not in partner and j not in used and n == own[i] == areas[j]:
            partner[i] = j
            used.add(j)
    return partner


def _is_same(
    store: LabelStore,
    incoming: Incoming,
    pair: tuple[int, int],
    pairs: Mapping[tuple[int, int], int],
    areas: tuple[Mapping[int, int], Mapping[int, int]],
) -> bool:
    (i, j), (own, there) = pair, areas
    name = incoming.classes.of(i)
    return pairs[pair] == own[i] == there[j] and name in ("", store.class_of(j))


def _lost(
    pairs: Mapping[tuple[int, int], int], areas: Mapping[int, int], partners: set[int], rule: Rule
) -> tuple[int, ...]:
    """Objects of the store that others would cover whole."""
    if rule == "keep":
        return ()
    covered: dict[int, int] = {}
    for (_, j), n in pairs.items():
        covered[j] = covered.get(j, 0) + n
    return tuple(sorted(j for j, n in covered.items() if n == areas[j] and j not in partners))


def _blocked(
    pairs: Mapping[tuple[int, int], int], own: Mapping[int, int], partners: Iterable[int]
) -> set[int]:
    """Objects of the file that others of the store leave no pixel."""
    taken: dict[int, int] = {}
    for (i, _), n in pairs.items():
        taken[i] = taken.get(i, 0) + n
    return {i for i, n in taken.items() if n == own[i]} - set(partners)


def _clear(store: LabelStore, ids: set[int], boxes: Sequence[Box]) -> None:
    """Take the pixels of changed objects away where the file holds nothing."""
    for label in sorted(ids):
        place = store.box_of(label)
        if place is None or any(box.covers(place) for box in boxes):
            continue
        for part in pieces(place, _BLOCK):
            labels = store.read(part)
            if any(box.covers(part) for box in boxes) or not (labels == label).any():
                continue
            labels[labels == label] = 0
            store.write(part, labels, "import")


def _renumbered(ids: NDArray[np.uint32], plan: ImportPlan, skip: set[int]) -> NDArray[np.uint32]:
    present, inverse = np.unique(ids, return_inverse=True)
    values = [0 if i in skip else plan.ids.get(i, 0) for i in present.tolist()]
    return np.array(values, np.uint32)[inverse].reshape(ids.shape)


def _name(store: LabelStore, plan: ImportPlan) -> None:
    by_class: dict[str, list[int]] = {}
    for label in (*plan.added, *plan.changed):
        name = plan.incoming.classes.of(label)
        if name and plan.ids[label]:
            by_class.setdefault(name, []).append(plan.ids[label])
    for name, ids in by_class.items():
        known = set(store.ids().tolist())
        store.set_class([i for i in ids if i in known], name)
