"""From indexes and a typed reference to what is unlike it, with the pictures of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np

from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter, fields_of
from histoprompt.core.task import Task
from histoprompt.pipelines.explore.anomaly.files import SHOWN, ReportPictures
from histoprompt.pipelines.explore.anomaly.find import Unlike, find_unlike
from histoprompt.pipelines.explore.anomaly.guard import ColourDifference, look_for_shift
from histoprompt.pipelines.explore.anomaly.params import UnlikeParams
from histoprompt.pipelines.explore.anomaly.rebuild import rebuilt_hits
from histoprompt.pipelines.explore.anomaly.reference import parse_reference, reference_tiles
from histoprompt.pipelines.explore.cells import CellIndexParams
from histoprompt.pipelines.explore.from_index import clean, entries_of
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.explore.pictures import Opener, pictures_of

_PIXELS = 128


@dataclass(frozen=True)
class AnomalyParams(UnlikeParams, CellIndexParams):
    """What is normal, what looks, and when a tile or a cell is unlike it.

    Attributes
    ----------
    reference : tuple of str
        Boxes ``r0,c0,r1,c1`` and GeoJSON files of regions on the first slide, or on the one that is
        named before them and a colon; and paths of slides.
    reference_class : str
        Only regions of this name or class.
    rebuild : bool
        Whether a small masked autoencoder is trained on pixels of the reference, and what it cannot
        rebuild of the hits is shown.
    """

    reference: Annotated[
        tuple[str, ...],
        Parameter("Reference", "Normal tissue: [SLIDE:]r0,c0,r1,c1, [SLIDE:]GeoJSON, or slides."),
    ] = ()
    reference_class: Annotated[
        str, Parameter("Class of the reference", "Only drawn regions of this name or class.")
    ] = ""
    rebuild: Annotated[
        bool,
        Parameter(
            "Show what cannot be rebuilt",
            "Train a small network on the reference, and show what it cannot rebuild of the hits.",
        ),
    ] = False

    @property
    def index(self) -> CellIndexParams:
        """How slides are looked at."""
        return CellIndexParams(**{f.name: getattr(self, f.name) for f in fields(CellIndexParams)})

    @property
    def plain(self) -> UnlikeParams:
        """What decides, without where the reference is."""
        return UnlikeParams(**{f.name: getattr(self, f.name) for f in fields(UnlikeParams)})


def anomaly_chosen(
    indexing: IndexParams, unlike: UnlikeParams, boxes: Sequence[Box]
) -> AnomalyParams:
    """What a person chose in a window as parameters that a recipe holds.

    Parameters
    ----------
    indexing : IndexParams
    unlike : UnlikeParams
    boxes : sequence of Box
        Normal tissue of the slide that is worked on, integer level-0 pixels.

    Raises
    ------
    RegionError
        If there is none.
    """
    reference = tuple(",".join(f"{v:.0f}" for v in box) for box in boxes)
    parse_reference(reference)
    plain = {
        f.name: getattr(one, f.name) for one in (indexing, unlike) for f in fields_of(type(one))
    }
    return AnomalyParams(**plain, reference=reference)


def anomalies(
    looked_at: Sequence[SlideIndex],
    others: Sequence[SlideIndex],
    normal: Callable[[SlideIndex], bool],
    params: AnomalyParams,
    *,
    opener: Opener,
    task: Task,
) -> tuple[Unlike, ReportPictures]:
    """Find tiles unlike a reference, and read the pictures that explain them.

    Parameters
    ----------
    looked_at : sequence of SlideIndex
        Boxes and files of the reference lie on the first, if they name no other.
    others : sequence of SlideIndex
        Slides of the reference that are not looked at.
    normal : callable
        Whether a slide that is looked at is of the reference.
    params : AnomalyParams
    opener : callable
        Opens a slide of a `TiledSlide`.
    task : Task

    Raises
    ------
    HistopromptError
        As `find_unlike`, `reference_tiles` and readers of slides do.
    """
    tiles, named = entries_of(looked_at), parse_reference(params.reference)
    inside = reference_tiles(tiles, named, params.reference_class)
    whole = np.array([normal(index) for index in looked_at], bool)
    inside = (inside | whole[tiles.slide]) & clean(looked_at)
    beyond = entries_of(others)[clean(others)] if others else None
    found = find_unlike(tiles, inside, params.plain, task, beyond)
    return found, explained(found, opener, task, rebuild=params.rebuild)


def explained(
    found: Unlike, opener: Opener, task: Task, *, rebuild: bool = False
) -> ReportPictures:
    """Pictures of the hits and of the reference tiles nearest to them, and what colour tells.

    Raises
    ------
    SlideError
        If a slide cannot be read.
    """
    shown = found.hits()[:SHOWN]
    near = np.unique(found.nearest[: len(shown)])
    hits = pictures_of(found.tiles, shown, _PIXELS, opener, task)
    reference = pictures_of(found.reference, near, _PIXELS, opener, task)
    told = _told(found, opener, task)
    rebuilt = rebuilt_hits(found, shown, opener, task) if rebuild else {}
    return ReportPictures(hits, reference, rebuilt, tuple(told))


def _told(found: Unlike, opener: Opener, task: Task) -> list[ColourDifference]:
    score = found.score(found.params.score)
    return look_for_shift(
        found.tiles, score, found.inside, found.reference, opener=opener, task=task
    )
