"""How labels of other programs come in: the parameters of an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter, check
from histoprompt.pipelines.recipes.command import CommandPlace, arguments, option

Into = Literal["labels", "count", "regions", "prompts"]


@dataclass(frozen=True)
class ImportParams:
    """How a file of annotations is read, and where its objects go.

    Attributes
    ----------
    into : "labels", "count", "regions" or "prompts"
        Committed objects, a count of its own, regions, or boxes that a model outlines anew.
    rule : "keep" or "overwrite"
        Whether objects that are there keep their pixels.
    offset : (row, col)
        Level-0 position of the file's first pixel; empty for the corner of the scanned part of the
        slide, as its file states it.
    scale : float
        Level-0 pixels a pixel of the file.
    point_radius : float
        Level-0 pixels of the disc that stands for a point; 0 leaves points without an outline.
    strict : bool
        Whether an object that cannot be taken as it stands in the file ends the import.
    format : str or None
        Name of the file's format; told by the content if None.
    """

    into: Annotated[
        Into,
        Parameter(
            "Import into",
            "Committed objects (and regions, where the file has both), a count of its own, "
            "regions, or boxes that a model outlines anew.",
        ),
    ] = "labels"
    rule: Annotated[
        Literal["keep", "overwrite"],
        Parameter("Where objects overlap", "Whether objects that are there keep their pixels."),
    ] = "keep"
    offset: Annotated[
        tuple[float, ...],
        Parameter(
            "Offset (row, column)",
            "Level-0 position of the file's first pixel; bounds for the corner of the scanned part "
            "of the slide.",
            unit="px",
            words=(("bounds", ()),),
            advanced=True,
        ),
    ] = (0.0, 0.0)
    scale: Annotated[
        float,
        Parameter(
            "Scale", "Level-0 pixels per pixel of the file.", low=1e-3, high=1e3, advanced=True
        ),
    ] = 1.0
    point_radius: Annotated[
        float,
        Parameter(
            "Radius of points",
            "Radius of the disc that stands for a point; 0 leaves points without an outline.",
            low=0.0,
            high=1e4,
            unit="px",
            special="no disc",
            advanced=True,
        ),
    ] = 0.0
    strict: Annotated[
        bool,
        Parameter("All or nothing", "Import every object as it stands in the file, or nothing."),
    ] = False
    format: str | None = None

    def __post_init__(self) -> None:
        check(self, LabelError)
        if len(self.offset) not in (0, 2):
            told = ", ".join(f"{v:g}" for v in self.offset)
            raise LabelError(f"An offset is two numbers, row and column; not {told}.")


def import_words(
    place: CommandPlace,
    files: Sequence[Path],
    params: ImportParams,
    model: tuple[str, Path | None],
) -> list[str]:
    """The arguments of the command that imports the same.

    Parameters
    ----------
    place : CommandPlace
    files : sequence of Path
    params : ImportParams
    model : (str, Path or None)
        What outlines boxes and points anew, and a weights file of the user's own.
    """
    words = ["import", place.slide, *map(str, files), *arguments(params)]
    words += option("format", params.format) if params.format else []
    words += option("out", place.out) if params.into == "count" else []
    if params.into == "prompts":
        words += option("model", model[0])
        words += option("weights", str(model[1])) if model[1] else []
    return [*words, *place.options]
