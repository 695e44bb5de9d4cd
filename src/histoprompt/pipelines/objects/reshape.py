"""Changing the form of committed objects: holes filled, smoothed, expanded, shrunk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from histoprompt.annotations.store import Change, LabelStore
from histoprompt.core.errors import LabelStoreError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.reshape import Region, depth, filled, grown, shrunk, smoothed
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.objects.correct import box_of, check_size

Form = Literal["fill holes", "smooth", "expand", "shrink"]
AMOUNT = Parameter(
    "By",
    "How far to expand, shrink or smooth: microns, or pixels where their size is unknown.",
    low=0.1,
    high=1000.0,
)


@dataclass(frozen=True)
class ReshapeParams:
    """How objects are changed.

    Attributes
    ----------
    form : "fill holes", "smooth", "expand" or "shrink"
    amount : float
        How far: microns where the size of a pixel is known, else pixels. Holes are filled whatever
        it is.
    """

    form: Annotated[Form, Parameter("Change", "What is done to the objects.")] = "expand"
    amount: Annotated[float, AMOUNT] = 0.5

    def __post_init__(self) -> None:
        check(self)


def reshape(
    store: LabelStore, ids: Sequence[int], params: ReshapeParams, mpp: float | None
) -> Change | None:
    """Change the form of objects; all of them or none.

    Other objects keep their pixels. Where several that grow want the same pixel, the nearer one
    gets it.

    Parameters
    ----------
    store : LabelStore
    ids : sequence of int
    params : ReshapeParams
    mpp : float or None
        Microns a pixel; without it the amount is in pixels.

    Returns
    -------
    Change or None
        None if they have that form already.

    Raises
    ------
    LabelStoreError
        If an object does not exist or is too large, or nothing would be left of it.
    """
    change = _Reshaping(store, frozenset(ids), params, mpp)
    made = [change.of(object_id) for object_id in dict.fromkeys(ids)]
    with store.group(params.form) as edit:
        for object_id, box, mask in made:
            labels = store.read(box)
            labels[labels == object_id] = 0
            labels[mask & (labels == 0)] = object_id
            store.write(box, labels, params.form)
    return edit.change


@dataclass(frozen=True)
class _Reshaping:
    """Works out new masks from the labels as they are before any object changes."""

    store: LabelStore
    chosen: frozenset[int]
    params: ReshapeParams
    mpp: float | None

    @property
    def radius(self) -> float:
        """The amount in pixels."""
        return self.params.amount / self.mpp if self.mpp else self.params.amount

    def of(self, object_id: int) -> tuple[int, Box, Region]:
        """An object, a box, and its new mask in there."""
        form, radius = self.params.form, self.radius
        reach = {"expand": 2 * radius + 1, "smooth": 3 * radius + 1}.get(form, 1)
        box = box_of(self.store, object_id).pad(math.ceil(reach)).intersection(self.store.box)
        assert box is not None  # the object lies on the slide
        check_size(object_id, box)
        labels = self.store.read(box)
        mine, free = labels == object_id, labels == 0
        if form == "fill holes":
            return object_id, box, filled(mine) & (mine | free)
        if form == "smooth":
            return object_id, box, smoothed(mine, radius, free)
        if form == "expand":
            return object_id, box, self._grown(object_id, labels)
        left = shrunk(mine, radius)
        if not left.any():
            raise LabelStoreError(self._nothing_left(object_id, depth(mine).max()))
        return object_id, box, left

    def _grown(self, object_id: int, labels: NDArray[np.uint32]) -> Region:
        """The object grown; a pixel half way to another one that grows goes to the lower id."""
        mine, free = labels == object_id, labels == 0
        rivals = np.isin(labels, sorted(self.chosen - {object_id}))
        lower = rivals & (labels < object_id)
        out = grown(mine, self.radius, free, rivals)
        return out & (mine | ~grown(lower, self.radius, free, mine)) if lower.any() else out

    def _nothing_left(self, object_id: int, deepest: float) -> str:
        unit, scale = ("µm", self.mpp) if self.mpp else ("pixels", 1.0)
        return (
            f"Object {object_id} is {deepest * scale:.3g} {unit} deep where it is deepest: shrunk "
            f"by {self.params.amount:g} {unit} nothing would be left of it. Nothing was "
            "changed."
        )
