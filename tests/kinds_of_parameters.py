"""Parameters with a field of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from histoprompt.core.parameters import Parameter, check


@dataclass(frozen=True)
class Params:
    """A field of each kind."""

    side: Annotated[int, Parameter("Tile side", unit="px", low=32, high=8192)] = 512
    mpp: Annotated[float, Parameter("Pixel size", low=0, high=100, special="as the slide")] = 0.0
    way: Annotated[Literal["crop", "tokens"], Parameter("Seen as", option="cells-as")] = "crop"
    words: Annotated[tuple[str, ...], Parameter("Words")] = ()
    scales: Annotated[tuple[float, ...], Parameter("Scales", low=0.25, high=16)] = (1.0,)
    each: Annotated[bool, Parameter("Each box is an object", "100 % of boxes.")] = False
    file: Annotated[Path | None, Parameter("Weights", advanced=True)] = None
    inner: int = 3

    def __post_init__(self) -> None:
        check(self)
