"""Edits of committed objects beyond their pixels: joined, removed, of another form, cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from histoprompt._qt.prompts.committed import CommittedObjects, objects_text
from histoprompt._qt.prompts.params import PromptParams
from histoprompt._qt.shell.messages import told
from histoprompt.core.errors import HistopromptError, LabelStoreError
from histoprompt.pipelines.objects.correct import split_along
from histoprompt.pipelines.objects.reshape import Form, ReshapeParams, reshape

_DONE: dict[Form, str] = {
    "fill holes": "Filled the holes of",
    "smooth": "Smoothed",
    "expand": "Expanded",
    "shrink": "Shrank",
}


class ObjectEdits:
    """Each is one step; one that cannot be done is told, and changes nothing.

    Parameters
    ----------
    committed : CommittedObjects
    mpp : float or None
        Microns a pixel of the slide.

    Attributes
    ----------
    params : PromptParams
        How far objects grow or shrink.
    mpp : float or None
    failed : Signal(str)
        Why an edit was not made.
    """

    failed = Signal(str)

    def __init__(self, committed: CommittedObjects, mpp: float | None) -> None:
        self._committed, self.mpp = committed, mpp
        self.params = PromptParams()

    def merge(self, ids: Sequence[int]) -> None:
        """Make objects one."""
        self._guarded(partial(self._committed.merge, ids))

    def delete(self, ids: Sequence[int]) -> None:
        """Remove objects."""
        self._guarded(partial(self._committed.delete, ids))

    def reshape(self, form: Form, ids: Sequence[int] = ()) -> None:
        """Change the form of objects; of the one that painting extends if none is given."""
        chosen = self._committed.chosen
        self._guarded(partial(self._reshape, form, ids or ([chosen] if chosen else [])))

    def fill_holes(self) -> None:
        """Fill the holes of the chosen object."""
        self.reshape("fill holes")

    def smooth(self) -> None:
        """Smooth the chosen object."""
        self.reshape("smooth")

    def expand(self) -> None:
        """Expand the chosen object."""
        self.reshape("expand")

    def shrink(self) -> None:
        """Shrink the chosen object."""
        self.reshape("shrink")

    def split(self, line: NDArray[np.float64]) -> None:
        """Cut the objects that a line crosses, (n, 2) level-0 (row, col)."""
        self._guarded(partial(self._split, line))

    # -- inner -------------------------------------------------------------------------------

    def _reshape(self, form: Form, ids: Sequence[int]) -> None:
        if not ids:
            raise LabelStoreError(
                "No object is chosen: Shift+click one with Paint, then try again."
            )
        params = ReshapeParams(form, self.params.amount)
        change = reshape(self._committed.store, ids, params, self.mpp)
        if change is None:
            named = objects_text(ids)
            self._committed.said.emit(f"There is nothing to change of {named}: it is as it was.")
            return
        text = f"{_DONE[form]} {objects_text(ids)}"
        if form != "fill holes":
            text += f" by {params.amount:g} {'µm' if self.mpp else 'px'}"
        pieces = {i: self._committed.pieces(i) for i in ids}
        parts = [f"object {i} has {n} parts now" for i, n in pieces.items() if n > 1]
        self._committed.show_change(change, "; ".join([text, *parts]))

    def _split(self, line: NDArray[np.float64]) -> None:
        pieces, change = split_along(self._committed.store, line)
        told = [f"{objects_text([ids[0]])} into {len(ids)}" for ids in pieces[:4]]
        more = f" and {len(pieces) - 4} more" if len(pieces) > 4 else ""
        self._committed.show_change(change, f"Split {', '.join(told)}{more}")

    def _guarded(self, edit: Callable[[], object]) -> None:
        """Run an edit of labels; an error is shown, not raised."""
        try:
            edit()
        except HistopromptError as error:
            self.failed.emit(told(error))
