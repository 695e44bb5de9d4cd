"""What every format's writer is given, and what every reader gives back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from histoprompt.core.cell_table import CellTable
from histoprompt.core.errors import ExportError
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import DEFAULT_CLASS, Classes
from histoprompt.core.labels.contours import Outline
from histoprompt.core.labels.sources import LabelSource, extent
from histoprompt.core.labels.table import LabelTable
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.provenance import Provenance
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.names import fitted
from histoprompt.core.task import Task
from histoprompt.pipelines.formats.data_card import Tallies
from histoprompt.pipelines.formats.nearby_outlines import NearbyOutlines
from histoprompt.pipelines.formats.polygons import NamedArea

Format = Literal[
    "tiles",
    "yolo-seg",
    "yolo-box",
    "geojson",
    "cellvit",
    "hovernet",
    "coco",
    "geoparquet",
    "ome-zarr",
    "hovernet-npy",
    "labels",
    "anndata",
    "dicom-ann",
]
ObjectType = Literal["annotation", "detection", "cell"]
SplitBy = Literal["block", "slide", "patient", "region"]
FORMATS: tuple[str, ...] = get_args(Format)


@dataclass(frozen=True)
class ExportParams:
    """How labels are exported; each format uses what concerns it.

    Attributes
    ----------
    format : str
        ``tiles``, ``coco``, ``geojson`` or ``labels``.
    default_class : str
        Class of objects that were given none. If empty, they have none in formats that can say so,
        and `DEFAULT_CLASS` in those for trainers.
    tile_size : int
        Side of the tiles of ``tiles`` and ``coco`` in their own pixels.
    mpp : float
        Microns a pixel of these tiles; 0 takes the slide's own pixels.
    empty_share : float
        Share of tiles without any object among all tiles.
    split_by : "block", "slide", "patient" or "region"
        What goes to train, val or test as a whole.
    patient : str
        Whose slide it is, for a split by patient.
    regions : Path or None
        GeoJSON of regions, for a split by region and for tiles that lie in them.
    only_annotated : bool
        Whether tiles without objects, or that reach out of the regions, are left out.
    block_tiles : int
        Tiles along the side of a block.
    val_share, test_share : float
        Shares of the validation and test sets; the rest is for training.
    object_type : str
        What QuPath shall make of the objects.
    licence : str
        Of the images, for the card of the set.
    simplify : float
        Level-0 pixels a polygon may stray from the outline of the pixels; 0 keeps it exact.
    """

    format: Annotated[Format, Parameter("Format")] = "tiles"
    default_class: Annotated[
        str,
        Parameter(
            "Class if none given",
            "Class of objects that were given none. If empty, they stay without one, or are "
            f"{DEFAULT_CLASS} in formats that need one.",
        ),
    ] = ""
    tile_size: Annotated[int, Parameter("Tile side", unit="px", low=32, high=8192)] = 512
    mpp: Annotated[
        float,
        Parameter(
            "Pixel size of tiles",
            "Microns per pixel of the tiles; 0 takes the slide's own pixels.",
            low=0.0,
            high=100.0,
            unit="µm/px",
            special="as the slide",
            option="tile-mpp",
        ),
    ] = 0.0
    val_share: Annotated[float, Parameter("Share for validation", low=0.0, high=1.0)] = 0.1
    test_share: Annotated[float, Parameter("Share for test", low=0.0, high=1.0)] = 0.1
    split_by: Annotated[
        SplitBy,
        Parameter(
            "Split by",
            "What goes to one set as a whole: a block of tiles, the slide, patient or region.",
            advanced=True,
        ),
    ] = "block"
    patient: Annotated[
        str, Parameter("Patient", "Whose slide it is, for a split by patient.", advanced=True)
    ] = ""
    regions: Annotated[
        Path | None,
        Parameter(
            "Regions",
            "GeoJSON of regions, for a split by region and for tiles that lie in them.",
            option="split-regions",
            advanced=True,
        ),
    ] = None
    only_annotated: Annotated[
        bool,
        Parameter(
            "Only annotated tiles",
            "Leave out tiles without objects, and those that reach out of the regions.",
            advanced=True,
        ),
    ] = False
    block_tiles: Annotated[
        int, Parameter("Tiles along a block", low=1, high=1000, advanced=True)
    ] = 4
    empty_share: Annotated[
        float,
        Parameter(
            "Share of empty tiles",
            "Share of tiles without any object among all tiles.",
            low=0.0,
            high=0.9,
            advanced=True,
        ),
    ] = 0.0
    licence: Annotated[
        str, Parameter("Licence", "Licence of the images, for the card of the set.", advanced=True)
    ] = ""
    object_type: Annotated[
        ObjectType,
        Parameter("QuPath object type", "What QuPath makes of the objects.", advanced=True),
    ] = "annotation"
    simplify: Annotated[
        float,
        Parameter(
            "Simplify outlines",
            "Level-0 pixels that a polygon may stray from the outline; 0 keeps it exact.",
            low=0.0,
            high=100.0,
            unit="px",
            advanced=True,
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        check(self, ExportError)
        if self.val_share + self.test_share > 1:
            raise ExportError(
                f"Validation and test shares of {self.val_share} and {self.test_share} "
                "add up to more than 1."
            )


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions that the objects of an export lie in.

    Attributes
    ----------
    labels, classes, table
        As for `ExportJob`.
    parents : mapping of int to int
        The region of each object that lies in one.
    """

    labels: LabelSource
    classes: Classes
    table: LabelTable
    parents: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class ExportJob:
    """One export.

    Attributes
    ----------
    slide, labels, classes, params, task
        What to export, how, and whom to tell.
    table : LabelTable
        The objects of the labels.
    folder : Path
        Where to write; it is empty, and put in its place when all is done.
    regions : Regions or None
        For the formats that hold both.
    cells : CellTable or None
        The objects, measured, for formats that hold that.
    areas : tuple of Region
        By which sets are told apart.
    tallies : Tallies
        What the tiles hold, as far as they are written.
    """

    slide: Slide
    labels: LabelSource
    table: LabelTable
    classes: Classes
    params: ExportParams
    folder: Path
    task: Task
    regions: Regions | None = None
    cells: CellTable | None = None
    areas: tuple[NamedArea, ...] = ()
    tallies: Tallies = field(default_factory=Tallies)
    _nearby: NearbyOutlines = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_nearby", NearbyOutlines(self.labels))

    @property
    def stem(self) -> str:
        """The slide's name as the beginning of file names."""
        return fitted(re.sub(r"[^\w.-]+", "_", self.slide.name).strip("._")) or "slide"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that occur, sorted."""
        return tuple(name for name in self.classes.present(self.table.ids) if name)

    def provenance(self) -> dict[str, Any]:
        """Where the data come from, as JSON."""
        slide, region = self.slide, extent(self.labels)
        stated = {
            "slide": {
                "name": slide.name,
                "key": slide.key,
                "file": None if slide.path is None else Path(slide.path).name,
                "shape": list(slide.shape),
                "mpp": slide.mpp,
                "mpp_source": slide.mpp_source,
            },
            "region": [round(v) for v in region],
            "params": {k: _plain(v) for k, v in asdict(self.params).items()},
            "objects": len(self.table),
            "classes": self.class_list(),
        }
        # undated: the same labels give the same files
        return Provenance(parameters=stated).facts

    def class_numbers(self) -> dict[str, int]:
        """The number of each class, from 1; objects without a class have none."""
        return {name: i for i, name in enumerate(self.class_names, start=1)}

    def objects(self, doing: str) -> Iterator[tuple[int, Box, int]]:
        """Each object's id, box and area in reading order; tells the task how far this is."""
        for done, item in enumerate(self._nearby.follow(self.table.in_reading_order())):
            self.task.step(done, len(self.table), doing)
            yield item

    def outlines(self, label: int, box: Box) -> list[Outline]:
        """The outlines of an object; those that `objects` gives are drawn with their neighbours."""
        return self._nearby.of(label, box)

    def class_list(self) -> list[dict[str, Any]]:
        """The classes with their numbers, from 1, and colours."""
        colours = self.classes.palette(self.class_names)
        return [
            {"id": i, "name": name, "colour": list(colours[name])}
            for name, i in self.class_numbers().items()
        ]


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Path) else value


@dataclass(frozen=True)
class Written:
    """What a writer wrote.

    Attributes
    ----------
    files : tuple of str
        The files to look at, relative to the folder.
    tiles : int
        Tiles among them.
    """

    files: tuple[str, ...]
    tiles: int = 0


@dataclass(frozen=True, eq=False)
class Imported:
    """Labels read from a file.

    Attributes
    ----------
    labels : LabelSource
        In level-0 pixels of their slide.
    classes : Classes
    skipped : int
        Things in the file that are no areas and were left out.
    """

    labels: LabelSource
    classes: Classes
    skipped: int = 0
