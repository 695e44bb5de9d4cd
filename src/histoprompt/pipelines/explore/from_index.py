"""Indexes of slides as one set of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError
from histoprompt.core.tissue.find import BLUR, PEN
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet

# A tile with more pen or blur than this does not stand for normal tissue.
_MOST_PEN, _MOST_BLUR = 0.02, 0.25


def tiles_of(indexes: ProjectIndex | Sequence[SlideIndex]) -> TileSet:
    """All tiles of some indexes.

    Raises
    ------
    ModelError
        If they were made with different encoders, weights or magnifications, or are of cells.
    RegionError
        If there is none.
    """
    if not isinstance(indexes, ProjectIndex):
        indexes = ProjectIndex(tuple(indexes))
    first = indexes.slides[0]
    if first.of_cells:
        raise ModelError(f"The index of {first.name} is of cells; this works on tiles.")
    return TileSet(
        slides=tuple(
            TiledSlide(s.name, s.slide, s.path, s.mpp, s.shape, s.step) for s in indexes.slides
        ),
        slide=indexes.slide_of,
        boxes=indexes.boxes,
        places=np.concatenate([s.places for s in indexes.slides]),
        vectors=indexes.all_vectors(),
        area_mm2=np.concatenate([s.mm2() for s in indexes.slides]),
        encoder=first.encoder,
        digest=first.digest,
        words=first.words,
    )


def clean(indexes: ProjectIndex | Sequence[SlideIndex]) -> NDArray[np.bool_]:
    """Which of the tiles are free of pen and blur, (n,) bool."""
    slides = indexes.slides if isinstance(indexes, ProjectIndex) else indexes
    parts = [(s.flags[PEN] <= _MOST_PEN) & (s.flags[BLUR] <= _MOST_BLUR) for s in slides]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def index_part(params: IndexParams) -> IndexParams:
    """How slides are looked at, out of parameters that say more."""
    return IndexParams(**{one.name: getattr(params, one.name) for one in fields(IndexParams)})
