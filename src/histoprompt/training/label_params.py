"""What a person says of a training on the labels of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from histoprompt.core import settings
from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter, check

if TYPE_CHECKING:
    from histoprompt.models.zoo.trained import TrainedPlace


@dataclass(frozen=True)
class LabelTrainingParams:
    """How to train on the labels of a slide.

    Attributes
    ----------
    name : str
        Of the model that comes of it; one that is there is replaced.
    steps : int
    batch : int
        Fields a step.
    tile : int
        Side of the tiles that are exported, in pixels of the network's scale.
    variants : int
        Looks at each tile, with other dyes and at another scale.
    rate : float
        Greatest rate of learning.
    keep : float
        Share that the network keeps of what it knew.
    seed : int
    """

    name: Annotated[str, Parameter("Name of the model", "One of this name is replaced.")] = (
        "my nuclei"
    )
    steps: Annotated[
        int, Parameter("Steps", "More steps fit closer and take longer.", low=10, high=20_000)
    ] = 150
    batch: Annotated[
        int,
        Parameter(
            "Fields per step",
            "Fewer are faster.",
            low=1,
            high=32,
            advanced=True,
            option="fields-per-step",
        ),
    ] = 4
    tile: Annotated[
        int,
        Parameter(
            "Side of a tile", unit="px", low=64, high=1024, advanced=True, option="tile-side"
        ),
    ] = 256
    variants: Annotated[
        int,
        Parameter(
            "Looks at each tile",
            "With other dyes and sizes each.",
            low=1,
            high=64,
            advanced=True,
            option="looks",
        ),
    ] = 12
    rate: Annotated[
        float,
        Parameter(
            "Rate",
            "How much a step changes.",
            low=1e-6,
            high=0.1,
            advanced=True,
            option="learning-rate",
        ),
    ] = 1e-3
    keep: Annotated[
        float,
        Parameter(
            "Share of what it knew",
            "More stays closer to the shipped network.",
            low=0.0,
            high=1.0,
            advanced=True,
            option="keep-share",
        ),
    ] = 0.3
    seed: Annotated[
        int, Parameter("Seed", low=0, high=2**31, advanced=True, option="training-seed")
    ] = 0

    def __post_init__(self) -> None:
        check(self, LabelError)
        _ = self.place  # refuses a name that is none

    @property
    def place(self) -> TrainedPlace:
        """Where the model will lie."""
        from histoprompt.models.zoo.trained import TrainedPlace  # it knows what networks are

        return TrainedPlace(self.name)

    @property
    def work(self) -> Path:
        """Where its training keeps what it needs to go on."""
        return settings.home() / "training" / self.place.slug
