"""What is done with chosen objects, of either plane or both, as one edit."""

from __future__ import annotations

from histoprompt.annotations.history import Change
from histoprompt.annotations.planes import Plane
from histoprompt.annotations.roster import Chosen
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError


def delete(store: LabelStore, chosen: Chosen) -> Change | None:
    """Remove them.

    Raises
    ------
    LabelStoreError
        If one does not exist, or the disk does not take the labels.
    """
    with store.group("delete") as edit:
        for plane, ids in chosen.items():
            store.on(plane).delete(ids)
    return edit.change


def reclassify(store: LabelStore, chosen: Chosen, class_name: str) -> Change | None:
    """Say what they are; "" takes the class away. Raises as `delete` does."""
    with store.group("class") as edit:
        for plane, ids in chosen.items():
            store.on(plane).set_class(ids, class_name)
    return edit.change


def merge(store: LabelStore, chosen: Chosen) -> Change | None:
    """Make them one, with the smallest of their ids.

    Raises
    ------
    LabelStoreError
        If they are fewer than two or of both planes, or as for `delete`.
    """
    planes = [plane for plane, ids in chosen.items() if ids]
    if len(planes) != 1 or len(chosen[planes[0]]) < 2:
        raise LabelStoreError(
            "Choose two or more objects, or two or more regions: these are joined to one."
        )
    with store.group("merge") as edit:
        store.on(planes[0]).merge(chosen[planes[0]])
    return edit.change


def move(store: LabelStore, chosen: Chosen, plane: Plane) -> tuple[dict[int, int], Change | None]:
    """Move those that lie on the other plane to this one; raises as `delete` does.

    Returns
    -------
    dict of int to int
        The ids they have there; 0 for one whose pixels others have there already.
    Change or None
    """
    given: dict[int, int] = {}
    with store.group("move") as edit:
        for other, ids in chosen.items():
            if other != plane and ids:
                given = store.on(other).move(ids, plane)
    return given, edit.change
