"""What comes in: the objects of a file of another program, as labels of the slide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Classes
from histoprompt.core.labels.sources import LabelSource, extent
from histoprompt.core.labels.table import LabelTable, scan
from histoprompt.core.slides.bounds import bounds_corner
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.gathering import Gathering
from histoprompt.pipelines.exchange.measured import MOST_NAMES, MOST_TOLD, Measured
from histoprompt.pipelines.exchange.own_files import labels_of_export
from histoprompt.pipelines.exchange.params import ImportParams
from histoprompt.pipelines.exchange.sorting import Sorting
from histoprompt.pipelines.formats.annotation import Reading
from histoprompt.pipelines.formats.catalogue import FileFormat, file_format, format_of


@dataclass(frozen=True, eq=False)
class Incoming:
    """The objects of a file, as labels of the slide.

    Attributes
    ----------
    path : Path
    format : FileFormat
    labels : LabelSource
        Level-0 pixels; ids are the file's where it has them.
    table : LabelTable
    classes : Classes
        Names that the file gives; objects without one have the empty name.
    titles : mapping of int to str
        What the file calls objects themselves.
    outside, repaired : int
        Objects wholly outside the slide, and with mended outlines.
    centres : tuple of (row, col, str)
        Points without an outline, level-0 pixels, and their classes.
    problems : tuple of str
        A line for each object that was left out.
    remarks : tuple of str
        A line for each object that was taken otherwise than it stands in the file.
    made_by : mapping
        What changed the outlines since, as plain JSON.
    measured : Measured
        What the file measured of objects.
    notes : tuple of str
        What a person should know of the file as a whole.
    given : (n,) uint32
        Ids, ascending, that the file does not state: numbers that were given, by which no object
        is known again.
    regions : Incoming or None
        The regions of a file that has both, which go to a plane of their own.
    """

    path: Path
    format: FileFormat
    labels: LabelSource
    table: LabelTable
    classes: Classes
    titles: Mapping[int, str] = field(default_factory=dict)
    outside: int = 0
    repaired: int = 0
    centres: tuple[tuple[float, float, str], ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    made_by: Mapping[str, Any] = field(default_factory=dict)
    measured: Measured = field(default_factory=Measured)
    notes: tuple[str, ...] = ()
    given: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    regions: Incoming | None = None

    @property
    def points(self) -> int:
        """How many points have no outline."""
        return len(self.centres)

    def check(self, slide: Slide) -> None:
        """Refuse to import a file of which nothing lies on the slide, or nothing has an outline.

        Raises
        ------
        LabelError
            Then.
        """
        if len(self.table) or (self.regions is not None and len(self.regions.table)):
            return
        if self.points:
            raise LabelError(
                f"The {self.points} points of {self.path.name} have no outline. Give the radius of "
                "a disc to stand for each, or import them as prompts, each a click."
            )
        raise LabelError(
            f"All {self.outside:,} objects of {self.path.name} lie outside {slide.name}, which has "
            f"{slide.shape[0]} rows and {slide.shape[1]} columns. Is it of another slide, or does "
            "it count from another corner?"
        )


def read_incoming(
    slide: Slide, path: Path, task: Task, params: ImportParams | None = None
) -> Incoming:
    """Read a file of annotations.

    An id that a file gives twice stays with the first object, and the second is given a free one; a
    remark tells of it. Of objects that overlap, the later one has the common pixels.

    Parameters
    ----------
    slide : Slide
        That they belong to.
    path : Path
        Of a file, or of the folder that an export wrote.
    task : Task
    params : ImportParams, optional

    Raises
    ------
    LabelError
        If the file cannot be read, holds no object, belongs to another slide, or, if strict, an
        object cannot be taken as it stands in the file.
    """
    params = params or ImportParams()
    path = labels_of_export(path)
    row, col = params.offset or bounds_corner(slide)
    kind = file_format(params.format) if params.format else format_of(path)
    reading = Reading(
        path, slide.shape, (row, col), params.scale, params.strict, slide.name,
        nuclei=params.into == "count",
    )  # fmt: skip
    if kind.load is not None:
        loaded = kind.load(reading)
        _check_inside(loaded.labels, slide, path)
        names = Classes(loaded.classes.names, loaded.classes.colours, "")
        table = scan(loaded.labels, task)
        if not len(table):
            raise LabelError(f"{path.name} holds no object.")
        return Incoming(path, kind, loaded.labels, table, names)
    if kind.read is None:
        raise LabelError(f"{kind.title} is written but not read here.")
    gathering, sorting = Gathering(slide, reading, params.point_radius), Sorting(params.into)
    gathering.gather(sorting.wanted(kind.read(reading), reading), task)
    found = _gathered(kind, gathering, reading, task, alone=not sorting.regions)
    if not sorting.regions:
        return replace(found, notes=(*found.notes, *sorting.notes(path.name)))
    areas = Gathering(slide, reading)
    areas.gather(sorting.regions, task)
    regions = _gathered(kind, areas, reading, task, alone=False)
    return replace(
        found,
        outside=found.outside + regions.outside,
        repaired=found.repaired + regions.repaired,
        notes=(*found.notes, *sorting.notes(path.name)),
        problems=regions.problems,  # of both: one reading notes them
        remarks=regions.remarks,
        regions=replace(regions, outside=0, repaired=0, notes=(), problems=(), remarks=()),
    )


def _gathered(
    kind: FileFormat, found: Gathering, reading: Reading, task: Task, *, alone: bool = True
) -> Incoming:
    table = scan(found.labels, task)
    found.hidden(table.ids)
    if alone and not len(table) and not found.centres and not found.outside:
        lines = "; ".join(reading.problems[:3])
        told = f"{reading.path.name} holds no object that can be used. {lines}"
        raise LabelError(told.strip())
    measured = found.measuring.made()
    return Incoming(
        path=reading.path,
        format=kind,
        labels=found.labels,
        table=table,
        classes=Classes(found.roll.names(), found.colours, ""),
        titles=found.titles,
        outside=found.outside,
        repaired=found.repaired,
        centres=tuple(found.centres),
        problems=tuple(reading.problems),
        remarks=tuple(reading.remarks),
        measured=measured,
        notes=tuple(_notes(found, reading, measured)),
        given=found.roll.given(),
    )


def _notes(found: Gathering, reading: Reading, measured: Measured) -> Iterator[str]:
    if found.nuclei:
        cells = many(found.nuclei, "cell")
        taken = "the nuclei are counted" if reading.nuclei else "the outlines of the cells are kept"
        yield f"{reading.path.name} outlines {cells} with their nuclei; {taken}"
    left = len(found.measuring.left_out)
    if left:
        yield (
            f"{reading.path.name} has {MOST_NAMES + left} measurements of its objects; the first "
            f"{MOST_NAMES} are kept"
        )
    if found.measuring.size > MOST_TOLD and not reading.nuclei:
        yield (
            f"{reading.path.name} has {found.measuring.size:,} measurements; committed objects "
            f"keep at most {MOST_TOLD:,} of a file, so these are left out. A count keeps them all"
        )


def _check_inside(labels: LabelSource, slide: Slide, path: Path) -> None:
    place = extent(labels)
    if not slide.box.covers(place):
        raise LabelError(
            f"{path.name} covers rows {place.r0:g} to {place.r1:g} and columns {place.c0:g} to "
            f"{place.c1:g}, but {slide.name} has {slide.shape[0]} rows and {slide.shape[1]} "
            "columns. Is it of another slide?"
        )
