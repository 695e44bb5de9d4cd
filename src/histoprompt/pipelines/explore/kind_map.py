"""What was found of tiles, a kind or a score, as a map of one slide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.scores.map import ScoreMap, Threshold
from histoprompt.pipelines.explore.tile_set import TileSet

_IN = Threshold(0.5, "the kind of its tiles")


def kind_map(
    tiles: TileSet,
    number: int,
    text: str,
    values: NDArray[np.generic],
    *,
    facts: Mapping[str, str],
    cut: Threshold = _IN,
) -> ScoreMap:
    """A value of each tile of one slide as a map.

    Parameters
    ----------
    tiles : TileSet
    number : int
        Of the slide.
    text : str
        What the values are of.
    values : (n,) of the slide's tiles
        1 in a kind and 0 out of it, from which regions are made; scores; or numbers of kinds, to
        show.
    facts : mapping of str to str
        What made them.
    cut : Threshold
        From which value on a tile is in a region.
    """
    slide = tiles.slides[number]
    return ScoreMap(
        (text,),
        values[:, None].astype(np.float32),
        tiles.places[tiles.rows_of(number)],
        slide.grid,
        slide.mpp,
        slide.key,
        {text: cut},
        {**facts, "weights": tiles.digest},
    )
