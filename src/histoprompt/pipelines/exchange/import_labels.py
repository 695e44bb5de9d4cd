"""Labels of other programs into a slide's label store, as one edit; `planning` has the rules."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
from histoprompt.core.labels.sources import read_padded
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.incoming import Incoming
from histoprompt.pipelines.exchange.measured import MOST_TOLD
from histoprompt.pipelines.exchange.params import Into
from histoprompt.pipelines.exchange.planning import ImportPlan, blocks_of, plan_import

# Objects whose class is set at once.
_NAMED = 50_000


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
    rows = plan.written
    own, ids = found.table.ids[rows], plan.ids[rows]
    changed = np.sort(plan.ids[np.isin(found.table.ids, plan.changed)])
    info = provenance(found)
    blocks = blocks_of(store, [*found.labels.filled_boxes(), *_boxes(store, changed)])
    free = Renumbering(changed, np.ones_like(changed))
    same = len(ids) == len(found.table) and np.array_equal(own, ids)
    table = None if same else Renumbering(own, ids)
    with store.group("import"):
        for done, box in enumerate(blocks):
            task.step(done, len(blocks), f"Importing {found.path.name}")
            labels, incoming = store.read(box), read_padded(found.labels, box)
            incoming = incoming if table is None else table.of(incoming)
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
class ImportResult:
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
) -> ImportResult:
    """Plan and apply several files, one after the other, as one edit. Raises as `apply_import`."""
    done = []
    with store.group("import") as edit:
        for found in incoming:
            done.append(plan_import(store, found, task, rule))
            apply_import(store, done[-1], task)
        task.settle()
    return ImportResult(tuple(done), edit.change)


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


def _boxes(store: LabelStore, ids: NDArray[np.uint32]) -> Iterable[Box]:
    """Where some objects of the store lie."""
    if not len(ids):
        return ()
    there = store.listed()
    return (Box(*corners) for corners in there.boxes[np.isin(there.ids, ids)].tolist())


def _tell_measured(store: LabelStore, plan: ImportPlan, info: Mapping[str, Any]) -> None:
    """Let objects tell what the file measured of them."""
    measured = plan.incoming.measured
    if not 0 < measured.size <= MOST_TOLD:
        return
    rows, known = plan.written, set(store.ids().tolist())
    given = dict(zip(plan.incoming.table.ids[rows].tolist(), plan.ids[rows].tolist(), strict=True))
    for label, told in measured.rows():
        if given.get(label) in known:
            store.set_info([given[label]], {**info, "measurements": told}, "import")


def _name(store: LabelStore, plan: ImportPlan) -> None:
    rows = plan.written
    codes, names = plan.incoming.classes.coded(plan.incoming.table.ids[rows])
    ids = plan.ids[rows]
    there = np.isin(ids, store.ids())
    for code in dict.fromkeys(codes.tolist()):
        named = ids[(codes == code) & there] if names[code] else ids[:0]
        for start in range(0, len(named), _NAMED):
            store.set_class(named[start : start + _NAMED].tolist(), names[code])


def _colour(store: LabelStore, plan: ImportPlan) -> None:
    """Give classes that are new to the slide the colours of the file."""
    colours = plan.incoming.classes.colours
    used = set(plan.incoming.classes.present(plan.incoming.table.ids[plan.written]))
    new = [
        ObjectClass(n, c) for n, c in sorted(colours.items()) if n in used and n not in plan.known
    ]
    if new:
        names = {item.name for item in new}
        kept = [item for item in store.class_list() if item.name not in names]
        store.set_class_list([*kept, *new])
