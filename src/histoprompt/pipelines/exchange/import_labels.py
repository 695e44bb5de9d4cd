"""Labels of other programs into a slide's label store: first what would change, then one edit.

An object of the file is the same as one of the store if it has its id and they share a pixel, or if
both cover exactly the same pixels; then the store's object takes the file's outline and class. All
others are added under ids that are free. Of objects of one file that overlap, the later one keeps
the pixels; between the file and the store the rule ``keep`` or ``overwrite`` decides, as it does
for every commit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.annotations.edits import Rule
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.geometry import Box
from histoprompt.core.labels.renumber import Renumbering
from histoprompt.core.labels.shared import shared_pixels
from histoprompt.core.labels.sources import LabelSource, cells, extent
from histoprompt.core.task import Task
from histoprompt.core.tiling import TileGrid
from histoprompt.pipelines.exchange.incoming import Incoming
from histoprompt.pipelines.exchange.measured import MOST_TOLD
from histoprompt.pipelines.exchange.params import Into

_BLOCK = 2048


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
    known : frozenset of str
        Classes that the slide had, which keep their colours.
    regions : ImportPlan or None
        What becomes of the regions of the same file, on their plane.
    """

    incoming: Incoming
    rule: Rule
    ids: Mapping[int, int] = field(default_factory=dict)
    added: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    same: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    overlapping: int = 0
    known: frozenset[str] = frozenset()
    regions: ImportPlan | None = None

    def __str__(self) -> str:
        found = self.incoming
        added, changed, removed = (
            sum(len(ids) for ids in kind)
            for kind in zip(*((p.added, p.changed, p.removed) for p in self.planes), strict=True)
        )
        return (
            f"added {added} changed {changed} removed {removed} "
            f"outside {found.outside} repaired {found.repaired}"
        )

    @property
    def planes(self) -> tuple[ImportPlan, ...]:
        """The plan of each plane."""
        return (self,) if self.regions is None else (self, self.regions)


def plan_import(
    store: LabelStore, incoming: Incoming, task: Task, rule: Rule = "keep"
) -> ImportPlan:
    """Work out what an import would change; the store stays as it is."""
    regions = None
    if incoming.regions is not None:
        regions = plan_import(store.on("regions"), incoming.regions, task, rule)
    pairs = _overlaps(store, incoming, task)
    own = dict(zip(incoming.table.ids.tolist(), incoming.table.areas.tolist(), strict=True))
    areas = {i: store.area_of(i) for i in store.ids().tolist()}
    partner = _partners(pairs, own, areas)
    free = (i for i in count(max([0, *areas]) + 1) if i not in own)
    fresh = {i: next(free) if i in areas else i for i in own if i not in partner}
    same = {
        i: j for i, j in partner.items() if _is_same(store, incoming, (i, j), pairs, (own, areas))
    }
    keep = rule == "keep"
    blocked = _covered(pairs, 0, own) - set(partner) if keep else set()
    lost = set() if keep else _covered(pairs, 1, areas) - set(partner.values())
    return ImportPlan(
        incoming,
        rule,
        {i: 0 if i in blocked else j for i, j in (partner | fresh).items()},
        tuple(i for i in fresh if i not in blocked),
        tuple(i for i in partner if i not in same),
        tuple(same),
        tuple(sorted(lost)),
        len({i for i, _ in pairs if i in fresh}),
        frozenset(item.name for item in store.class_list()),
        regions,
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
    changed = [plan.ids[i] for i in plan.changed]
    ids = {i: plan.ids[i] for i in (*plan.added, *plan.changed)}
    info = provenance(found)
    places = [*found.labels.filled_boxes(), *(store.box_of(i) for i in changed)]
    blocks = _blocks(store, [place for place in places if place is not None])
    table, free = Renumbering(ids), Renumbering(dict.fromkeys(changed, 1))
    same = len(ids) == len(found.table) and all(i == j for i, j in ids.items())
    with store.group("import"):
        for done, box in enumerate(blocks):
            task.step(done, len(blocks), f"Importing {found.path.name}")
            labels, incoming = store.read(box), _read(found.labels, box)
            incoming = incoming if same else table.of(incoming)
            place, taken = incoming > 0, labels > 0
            if taken.any():
                again = free.of(labels) > 0
                if plan.rule == "keep":
                    place &= ~taken | again
                labels[again] = 0
            labels[place] = incoming[place]
            store.write(box, labels, "import", info)
        if plan.regions is not None:
            apply_import(store.on("regions"), plan.regions, task)
        _name(store, plan)
        _colour(store, plan)
        _tell_measured(store, plan, info)


@dataclass(frozen=True, eq=False)
class Imported:
    """What an import did.

    Attributes
    ----------
    plans : tuple of ImportPlan
        Of each file.
    change : Change or None
        The edit; None if nothing changed.
    """

    plans: tuple[ImportPlan, ...]
    change: Change | None

    def __str__(self) -> str:
        return "; ".join(map(str, self.plans))


def import_all(
    store: LabelStore, incoming: Iterable[Incoming], task: Task, rule: Rule = "keep"
) -> Imported:
    """Plan and apply several files, one after the other, as one edit. Raises as `apply_import`."""
    done = []
    with store.group("import") as edit:
        for found in incoming:
            done.append(plan_import(store, found, task, rule))
            apply_import(store, done[-1], task)
        task.settle()
    return Imported(tuple(done), edit.change)


def plane_for(store: LabelStore, into: Into) -> LabelStore:
    """The plane of a store where objects go: regions have one of their own."""
    return store.on("regions") if into == "regions" else store


def provenance(found: Incoming) -> dict[str, Any]:
    """Where imported objects come from, as plain JSON."""
    about = {
        "imported from": found.path.name,
        "format": found.format.name,
        "sha256": _digest(found.path) if found.path.is_file() else None,
    }
    return about | dict(found.made_by)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _overlaps(store: LabelStore, incoming: Incoming, task: Task) -> dict[tuple[int, int], int]:
    """Pixels that each object of the file shares with each of the store."""
    found: Counter[tuple[int, int]] = Counter()
    blocks = _blocks(store, incoming.labels.filled_boxes())
    for done, box in enumerate(blocks):
        task.step(done, len(blocks), "Comparing with what is there")
        old = store.read(box)
        if not old.any():
            continue
        shared = (part.tolist() for part in shared_pixels(_read(incoming.labels, box), old))
        for new, there, pixels in zip(*shared, strict=True):
            found[new, there] += pixels
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


def _covered(pairs: Mapping[tuple[int, int], int], side: int, areas: Mapping[int, int]) -> set[int]:
    """Objects of the file (side 0) or the store (1) of which the other covers every pixel."""
    shared: Counter[int] = Counter()
    for pair, n in pairs.items():
        shared[pair[side]] += n
    return {i for i, n in shared.items() if n == areas[i]}


def _blocks(store: LabelStore, places: Iterable[Box]) -> list[Box]:
    """The blocks of the slide that places lie in, each once, so that each is read once."""
    grid = TileGrid(store.box, _BLOCK, 0, store.box)
    met = {cell for place in places for cell in cells(grid, place)}
    return [grid.tile(*cell).inner for cell in sorted(met)]


def _read(labels: LabelSource, box: Box) -> NDArray[np.uint32]:
    """The labels of a box of the slide, 0 where they do not reach."""
    inside = box.intersection(extent(labels))
    if inside == box:
        return labels.read(box)
    out = np.zeros(box.shape, np.uint32)
    if inside is not None:
        out[inside.slices((box.r0, box.c0))] = labels.read(inside)
    return out


def _tell_measured(store: LabelStore, plan: ImportPlan, info: Mapping[str, Any]) -> None:
    """Let objects tell what the file measured of them."""
    measured = plan.incoming.measured
    if not 0 < measured.size <= MOST_TOLD:
        return
    wanted, known = {*plan.added, *plan.changed}, set(store.ids().tolist())
    for label, told in measured.rows():
        if label in wanted and plan.ids[label] in known:
            store.set_info([plan.ids[label]], {**info, "measurements": told}, "import")


def _name(store: LabelStore, plan: ImportPlan) -> None:
    by_class: dict[str, list[int]] = {}
    for label in (*plan.added, *plan.changed):
        name = plan.incoming.classes.of(label)
        if name and plan.ids[label]:
            by_class.setdefault(name, []).append(plan.ids[label])
    known = set(store.ids().tolist())
    for name, ids in by_class.items():
        store.set_class([i for i in ids if i in known], name)


def _colour(store: LabelStore, plan: ImportPlan) -> None:
    """Give classes that are new to the slide the colours of the file."""
    colours = plan.incoming.classes.colours
    used = {plan.incoming.classes.of(i) for i in (*plan.added, *plan.changed)}
    new = [
        ObjectClass(n, c) for n, c in sorted(colours.items()) if n in used and n not in plan.known
    ]
    if new:
        names = {item.name for item in new}
        kept = [item for item in store.class_list() if item.name not in names]
        store.set_class_list([*kept, *new])
