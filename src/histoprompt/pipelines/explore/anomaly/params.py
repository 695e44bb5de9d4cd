"""When a tile or a cell is unlike a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from histoprompt.core.errors import ParameterError
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.explore.tile_set import TileSet


@dataclass(frozen=True)
class UnlikeParams:
    """When a tile is unlike the reference.

    Attributes
    ----------
    rate : float
        False alarms: a share of normal tiles, or tiles per square millimetre.
    rate_per : {"tile", "mm2"}
    score : {"knn", "mahalanobis", "reconstruction"}
        Which of the three decides; all are made.
    control : {"alarms", "discoveries"}
        What the rate is of: normal tiles that are taken for hits, or hits that are normal tiles
        (Benjamini and Hochberg).
    """

    rate: Annotated[
        float,
        Parameter("False-alarm rate", "How many normal tiles may be hits.", low=1e-6, high=1e4),
    ] = 0.01
    rate_per: Annotated[
        Literal["tile", "mm2"],
        Parameter(
            "Rate per",
            "Whether the rate is a share of tiles or a number per square millimetre.",
            offers=(("tile (a share)", "tile"), ("mm²", "mm2")),
        ),
    ] = "tile"
    score: Annotated[
        Literal["knn", "mahalanobis", "reconstruction"],
        Parameter(
            "Decides",
            "Which score decides; all three are made.",
            offers=(
                ("nearest reference tiles", "knn"),
                ("distance from clusters", "mahalanobis"),
                ("what cannot be rebuilt", "reconstruction"),
            ),
        ),
    ] = "knn"
    control: Annotated[
        Literal["alarms", "discoveries"],
        Parameter(
            "Rate is of",
            "False alarms among normal tiles, or among hits.",
            offers=(("normal tiles", "alarms"), ("hits", "discoveries")),
            advanced=True,
        ),
    ] = "alarms"

    def __post_init__(self) -> None:
        check(self)
        if self.rate_per == "tile" and self.rate >= 1:
            raise ParameterError(
                f"False-alarm rate is {self.rate:g}; a share of tiles lies below 1. Say that it is "
                "per mm² if it is meant so."
            )

    def share(self, tiles: TileSet) -> float:
        """The rate as a share of tiles.

        Raises
        ------
        ParameterError
            If it is per mm² and the tiles have no size, or if every tile would be one.
        """
        if self.rate_per == "tile":
            return self.rate
        if tiles.of_cells:
            raise ParameterError(
                "The false-alarm rate is per mm², and cells have no tissue of their own. Give the "
                "rate as a share of cells."
            )
        size = float(np.median(tiles.area_mm2)) if len(tiles) else float("nan")
        if not np.isfinite(size):
            raise ParameterError(
                "The false-alarm rate is per mm², and the slides state no pixel size. Give the "
                "pixel size, or the rate as a share of tiles."
            )
        if self.rate * size >= 1:
            raise ParameterError(
                f"{self.rate:g} false alarms per mm² are {self.rate * size:.2g} per tile of "
                f"{size:.3g} mm², which every tile fulfils. Type a smaller rate."
            )
        return self.rate * size
