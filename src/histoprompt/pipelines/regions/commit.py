"""Scored regions into the label store: regions whose class is the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histoprompt.annotations.edits import Rule
from histoprompt.annotations.history import Change
from histoprompt.annotations.store import LabelStore
from histoprompt.core.errors import LabelStoreError, RegionError
from histoprompt.core.geometry import Frame
from histoprompt.core.labels.contours import bounds, fill_pieces
from histoprompt.core.results import Mask
from histoprompt.core.scores.regions import ScoredRegion
from histoprompt.core.task import Task

# Pixels a side that are filled at once.
_PIECE = 2048
# Nobody can paint while regions are written, so they may not take minutes.
MOST_PIXELS = 2**28


def commit_regions(
    store: LabelStore,
    regions: Sequence[ScoredRegion],
    *,
    rule: Rule = "keep",
    info: Mapping[str, Any],
    task: Task,
) -> tuple[list[int], Change | None]:
    """Keep regions on their plane, one undoable step for all of them.

    Parameters
    ----------
    store : LabelStore
        Objects in it do not hinder regions, nor they objects.
    regions : sequence of ScoredRegion
    rule : "keep" or "overwrite"
        Whether regions that are there keep their pixels.
    info : mapping
        Provenance, plain JSON; text, score and tiles of each region are added.
    task : Task
        A cancelled task commits nothing.

    Returns
    -------
    list of int
        Ids of the regions that got pixels.
    Change or None
        What the edit changed.

    Raises
    ------
    RegionError
        If there is no region, or they are too large to paint.
    LabelStoreError
        If other regions have all of their pixels.
    """
    _check(regions)
    store = store.on("regions")
    with store.group("regions") as edit:
        ids: list[int] = []
        for done, region in enumerate(regions):
            task.step(done, len(regions), "Committing regions")
            facts = {**info, "text": region.text, "score": region.score, "tiles": region.tiles}
            made = _commit(store, region, rule, facts, task)
            if made:
                store.set_class([made], region.text)
                ids.append(made)
        if not ids:
            raise LabelStoreError(
                "Nothing was committed: other regions have all pixels of these already."
            )
        task.settle()
    task.step(len(regions), len(regions), "Done")
    return ids, edit.change


def _check(regions: Sequence[ScoredRegion]) -> None:
    if not regions:
        raise RegionError(
            "There is no region to commit: no tile reaches the threshold. Lower it, or mark some "
            "tiles yes."
        )
    pixels = sum(bounds([region.outline]).area for region in regions)
    if pixels > MOST_PIXELS:
        raise RegionError(
            f"The regions span {pixels / 1e6:.0f} million pixels; at most {MOST_PIXELS / 1e6:.0f} "
            "million are painted at once. Raise the threshold, choose a smaller part of the "
            "slide, or export the regions as outlines."
        )


def _commit(
    store: LabelStore, region: ScoredRegion, rule: Rule, info: Mapping[str, Any], task: Task
) -> int:
    """The id a region got; 0 if no pixel was left for it."""
    made = 0
    for part, mask in fill_pieces([region.outline], store.box, _PIECE):
        task.step(0, 0, "Committing regions")
        found = Mask(mask, Frame(part, part.shape))
        made = store.commit(found, rule, made or None, info) or made
    return made
