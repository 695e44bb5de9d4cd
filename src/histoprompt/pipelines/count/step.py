"""Counting as a step of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from histoprompt.core.errors import ParameterError
from histoprompt.core.files.atomic import replacing_file
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.slides.channels import on_channel, shown_name
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import Stain
from histoprompt.models import registry
from histoprompt.pipelines.count.ignored import ignored_of
from histoprompt.pipelines.count.job import CountChoice, count_job
from histoprompt.pipelines.count.result_folders import claimed_folder, free_folder, unclaim
from histoprompt.pipelines.count.run import CountJob
from histoprompt.pipelines.count.slide import count_slide, look_at_share
from histoprompt.pipelines.formats.json_files import write_json
from histoprompt.pipelines.formats.regions import Region, read_areas, read_regions, regions_document
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.place import REGION, check_region, region_box
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


@dataclass(frozen=True)
class CountParams(CountChoice):
    """What is counted, and where.

    Attributes
    ----------
    region : tuple of int
        r0, c0, r1, c1 in level-0 pixels; the tissue of the whole slide if empty.
    regions : Path or None
        GeoJSON with polygons, in place of `region`.
    without : Path or None
        GeoJSON with polygons that are ignored; what is committed of the slide in classes such as
        ``Ignore*`` if None.
    channel : str
        Of fluorescence: the channel that shows nuclei, by its name or its number from 1.
    """

    region: Annotated[tuple[int, ...], REGION] = ()
    regions: Annotated[
        Path | None, Parameter("Regions", "Only in the polygons of this file, one by one.")
    ] = None
    without: Annotated[
        Path | None,
        Parameter(
            "Without",
            "Ignore what lies in the polygons of this file; if none is given, what is committed "
            "in classes such as Ignore*.",
        ),
    ] = None
    channel: Annotated[
        str, Parameter("Channel", "Of fluorescence: where nuclei are looked for, name or number.")
    ] = ""

    def __post_init__(self) -> None:
        check(self)
        check_region(self.region)
        if self.region and self.regions:
            raise ParameterError("Give a region or a file of regions, not both.")
        if self.dab and self.classifier:
            raise ParameterError("Positive by DAB and a classifier exclude each other.")

    @property
    def stain(self) -> Stain | None:
        """The stain where the choice tells it."""
        return "H-DAB" if self.dab else None


def count_chosen(
    choice: CountChoice, slide: Slide, box: Box | None, regions: Sequence[Region], needs: Needs
) -> CountParams:
    """What a person chose in a window as parameters that a recipe holds.

    Parameters
    ----------
    choice : CountChoice
    slide : Slide
    box : Box or None
        Level-0 pixels; the tissue of the whole slide if None.
    regions : sequence of Region
        Drawn or committed ones, in place of `box`; a file is written of them.
    needs : Needs
        Where that file lies.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    path = _kept(needs.file("regions.geojson"), regions) if regions else None
    ignored = ignored_of(slide)
    without = _kept(needs.file("ignored.geojson"), ignored) if ignored else None
    place = () if box is None or regions else tuple(int(v) for v in box)
    plain = {one.name: getattr(choice, one.name) for one in fields(CountChoice)}
    return CountParams(**plain, region=place, regions=path, without=without,
                       channel=shown_name(slide))  # fmt: skip


def _kept(path: Path, regions: Sequence[Region]) -> Path:
    with replacing_file(path) as part:
        write_json(part, regions_document(regions))
    return path


def _run(given: StepInput, params: CountParams, folder: Path) -> StepOutput:
    slide, job, where = _asked(given, params)
    claimed = claimed_folder(folder.parent, folder.name, slide.key)
    try:
        counted = count_slide(slide, job, claimed, given.task, **where)
    finally:
        unclaim(claimed)
    lines = {line.name: line for line in counted.tally.lines if line.region == "all"}
    numbers = {f"{name} {what}": getattr(line, what) for name, line in lines.items()
               for what in ("count", "per_mm2")}  # fmt: skip
    told = f"{counted.tally.total:,} cells"
    return StepOutput(told, counted.complete, counted.lasting, numbers, counted.passing)


def _ahead(given: StepInput, params: CountParams, folder: Path, share: tuple[int, int]) -> None:
    slide, job, where = _asked(given, params)
    free = free_folder(folder.parent, folder.name, slide.key)
    look_at_share(slide, job, free, share, given.task, **where)


def _asked(given: StepInput, params: CountParams) -> tuple[Slide, CountJob, dict[str, Any]]:
    """The slide as it is counted, by what, and where."""
    slide = on_channel(given.slide, params.channel) if params.channel else given.slide
    regions = read_regions(params.regions, slide.shape) if params.regions else ()
    box = region_box(params.region, slide)
    without = read_areas(params.without, slide.shape) if params.without else None
    where = {"box": box, "regions": regions, "without": without, "stain": params.stain}
    return slide, count_job(params, given.manager), where


def _models(params: CountParams) -> tuple[str, ...]:
    card = registry.card(params.segmenter)
    return (card.id,) if card.role == "cells" else (card.id, params.proposer)


def _methods(params: CountParams) -> str:
    where = "in drawn regions" if params.regions else (
        "in a chosen region" if params.region else "in the tissue of each slide"
    )  # fmt: skip
    classes = ""
    if params.dab:
        classes = " and called positive or negative by the optical density of DAB in them"
    elif params.classifier:
        classes = " and classified by a classifier learnt from labelled examples"
    return f"Cells were segmented {where} with the model {params.segmenter}{classes}."


def _command(params: CountParams, slide: str, out: str) -> list[str]:
    return ["count", slide, *arguments(params), *option("out", out)]


STEP = Step(
    "count",
    "finds and counts all cells",
    CountParams,
    _run,
    _models,
    _methods,
    command=_command,
    ahead=_ahead,
)
