"""Indexes of slides as one set of tiles or cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import ModelError
from histoprompt.core.tissue.find import BLUR, PEN
from histoprompt.pipelines.explore.index import IndexParams, SlideIndex
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.stored_vectors import StoredVectors, Vectors
from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet

# A tile with more pen or blur than this does not stand for normal tissue.
_MOST_PEN, _MOST_BLUR = 0.02, 0.25
# Bytes of vectors that are taken into memory at once.
LARGEST = 2**26


def tiles_of(indexes: ProjectIndex | Sequence[SlideIndex]) -> TileSet:
    """All tiles of some indexes.

    Raises
    ------
    ModelError
        If they were made with different encoders, weights or magnifications, or are of cells.
    RegionError
        If there is none.
    """
    found = entries_of(indexes)
    if found.of_cells:
        raise ModelError(f"The index of {found.slides[0].name} is of cells; this works on tiles.")
    return found


def entries_of(indexes: ProjectIndex | Sequence[SlideIndex], largest: int = LARGEST) -> TileSet:
    """All tiles of some indexes, or all cells.

    Parameters
    ----------
    indexes : ProjectIndex or sequence of SlideIndex
    largest : int
        Bytes of vectors that are taken into memory; more are read when they are needed.

    Raises
    ------
    ModelError
        If they were made with different encoders, weights or magnifications, or some are of cells.
    RegionError
        If there is none.
    """
    if not isinstance(indexes, ProjectIndex):
        indexes = ProjectIndex(tuple(indexes))
    first, cells = indexes.slides[0], indexes.slides[0].of_cells
    places = [np.zeros((len(s), 2), np.int32) if cells else s.places for s in indexes.slides]
    areas = [np.full(len(s), np.nan) if cells else s.mm2() for s in indexes.slides]
    return TileSet(
        slides=tuple(
            TiledSlide(s.name, s.slide, s.path, s.mpp, s.shape, s.step) for s in indexes.slides
        ),
        slide=indexes.slide_of,
        boxes=indexes.boxes,
        places=np.concatenate(places),
        vectors=_vectors(indexes, largest),
        area_mm2=np.concatenate(areas),
        encoder=first.encoder,
        digest=first.digest,
        words=first.words,
        ids=np.concatenate([s.ids for s in indexes.slides]) if cells else None,
    )


def _vectors(indexes: ProjectIndex, largest: int) -> Vectors:
    if len(indexes) * indexes.width * 4 <= largest:
        return indexes.all_vectors()
    return StoredVectors(indexes.take, np.arange(len(indexes)), indexes.width)


def clean(indexes: ProjectIndex | Sequence[SlideIndex]) -> NDArray[np.bool_]:
    """Which of the tiles are free of pen and blur, (n,) bool; cells are."""
    slides = indexes.slides if isinstance(indexes, ProjectIndex) else indexes
    parts = [
        np.ones(len(s), bool)
        if s.of_cells
        else (s.flags[PEN] <= _MOST_PEN) & (s.flags[BLUR] <= _MOST_BLUR)
        for s in slides
    ]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def index_part(params: IndexParams) -> IndexParams:
    """How slides are looked at, out of parameters that say more."""
    return IndexParams(**{one.name: getattr(params, one.name) for one in fields(IndexParams)})
