"""All file formats of labels: one record each, which docks, commands, docs and tests sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core.errors import LabelError
from histoprompt.pipelines.formats import (
    cellvit,
    coco,
    coco_in,
    contour_tables,
    dicom_ann,
    geojson,
    geojson_in,
    geoparquet,
    grand_challenge,
    h5ad,
    histomics,
    hovernet,
    imagescope,
    labels,
    ome_zarr_labels,
    point_tables,
    rasters,
    tiles,
    yolo,
)
from histoprompt.pipelines.formats.annotation import Annotation, Reading
from histoprompt.pipelines.formats.job import ExportJob, Imported, Written


@dataclass(frozen=True)
class FileFormat:
    """What a format is and who reads and writes it.

    Attributes
    ----------
    name : str
        On the command line.
    title : str
        For people.
    holds : tuple of str
        What survives in it: ``outlines``, ``pixels``, ``ids``, ``classes``, ``colours``, ``holes``,
        ``points``, ``measurements``.
    tiled : bool
        Whether images are cut into tiles.
    write : callable or None
        Writes an `ExportJob` into its folder.
    read : callable or None
        Gives `Annotation`s.
    load : callable or None
        Gives labels, for formats that hold pixels.
    measured : bool
        Whether objects are written with what is measured of them.
    unclassed : bool
        Whether it can say that an object has no class; trainers need one of each.
    matches : callable
        Whether a path looks like it, by content.
    """

    name: str
    title: str
    holds: tuple[str, ...]
    matches: Callable[[Path], bool]
    tiled: bool = False
    write: Callable[[ExportJob], Written] | None = None
    read: Callable[[Reading], Iterator[Annotation]] | None = None
    load: Callable[[Reading], Imported] | None = None
    measured: bool = False
    unclassed: bool = False

    @property
    def reads(self) -> bool:
        """Whether labels come in through it."""
        return self.read is not None or self.load is not None


def _load_tiles(reading: Reading) -> Imported:
    return tiles.read_tiles(reading.path)


def _is_tiles(path: Path) -> bool:
    return (path / tiles.DATASET_FILE).is_file()


_ALL = ("pixels", "ids", "classes", "colours", "holes")
_CONTOURS = ("outlines", "classes")

# In the order in which content is compared: the surest signs first.
FORMATS: tuple[FileFormat, ...] = (
    FileFormat(
        "tiles", "Image and mask tiles", _ALL, _is_tiles, True, tiles.write, load=_load_tiles
    ),
    FileFormat(
        "yolo-seg",
        "YOLO segmentation",
        _CONTOURS,
        yolo.matches,
        True,
        yolo.write_segments,
        yolo.read,
    ),
    FileFormat(
        "yolo-box", "YOLO boxes", ("classes",), yolo.matches, True, yolo.write_boxes, yolo.read
    ),
    FileFormat(
        "geojson",
        "QuPath GeoJSON",
        ("outlines", "ids", "classes", "colours", "holes", "points", "measurements"),
        geojson.matches,
        write=geojson.write,
        read=geojson_in.read,
        unclassed=True,
    ),
    FileFormat(
        "cellvit", "CellViT cells", _CONTOURS, cellvit.matches, False, cellvit.write, cellvit.read
    ),
    FileFormat(
        "hovernet",
        "HoVer-Net nuclei",
        ("outlines", "ids", "classes"),
        hovernet.matches,
        False,
        hovernet.write,
        hovernet.read,
        unclassed=True,
    ),
    FileFormat(
        "coco",
        "COCO (RLE and polygons)",
        ("outlines", *_ALL),
        coco_in.matches,
        True,
        coco.write,
        coco_in.read,
    ),
    FileFormat(
        "geoparquet",
        "GeoParquet",
        ("outlines", "ids", "classes", "holes"),
        geoparquet.matches,
        False,
        geoparquet.write,
        geoparquet.read,
        unclassed=True,
    ),
    FileFormat(
        "grand-challenge",
        "Grand Challenge, ASAP",
        ("outlines", "classes", "points"),
        grand_challenge.matches,
        read=grand_challenge.read,
    ),
    FileFormat(
        "imagescope",
        "ImageScope XML",
        ("outlines", "ids", "classes", "colours", "holes"),
        imagescope.matches,
        read=imagescope.read,
    ),
    FileFormat(
        "histomics",
        "Digital Slide Archive",
        ("outlines", "classes", "colours", "holes", "points"),
        histomics.matches,
        read=histomics.read,
    ),
    FileFormat(
        "dicom-ann",
        "DICOM annotations",
        ("outlines", "classes", "points"),
        dicom_ann.matches,
        False,
        dicom_ann.write,
        dicom_ann.read,
    ),
    FileFormat(
        "ome-zarr",
        "OME-Zarr labels",
        _ALL,
        ome_zarr_labels.matches,
        False,
        ome_zarr_labels.write,
        load=ome_zarr_labels.read_labels_of,
        unclassed=True,
    ),
    FileFormat(
        "hovernet-npy",
        "HoVer-Net array (npy)",
        ("pixels", "ids", "classes", "holes"),
        lambda path: path.suffix.lower() == ".npy",
        False,
        rasters.write,
        load=rasters.load,
        unclassed=True,
    ),
    FileFormat(
        "labels",
        "Label TIFF (also PNG)",
        _ALL,
        rasters.matches,
        False,
        labels.write,
        load=rasters.load,
        unclassed=True,
    ),
    FileFormat(
        "anndata",
        "AnnData cells (h5ad)",
        ("ids", "classes", "points", "measurements"),
        lambda _: False,
        write=h5ad.write,
        measured=True,
        unclassed=True,
    ),
    FileFormat(
        "contour-table",
        "HistomicsTK contours (tsv)",
        ("outlines", "classes", "colours"),
        contour_tables.matches,
        read=contour_tables.read,
    ),
    FileFormat(
        "points",
        "Table of points",
        ("points", "classes"),
        point_tables.matches,
        read=point_tables.read,
    ),
)
_BY_NAME = {f.name: f for f in FORMATS}
WRITABLE: tuple[str, ...] = tuple(f.name for f in FORMATS if f.write)


def file_format(name: str) -> FileFormat:
    """The format of a name.

    Raises
    ------
    LabelError
        If there is none.
    """
    if name not in _BY_NAME:
        raise LabelError(f"There is no format {name!r}; there are {', '.join(_BY_NAME)}.")
    return _BY_NAME[name]


def format_of(path: Path) -> FileFormat:
    """The format of a file or folder, by its content.

    Raises
    ------
    LabelError
        If it is missing, or like none that can be read.
    """
    try:
        if not path.exists():
            raise LabelError(f"{path} does not exist. Check the path.")
        found = next((f for f in FORMATS if f.reads and f.matches(path)), None)
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror}).") from error
    if found is None:
        readable = ", ".join(f.title for f in FORMATS if f.reads)
        raise LabelError(f"{path.name} is of no format that can be read. There are {readable}.")
    return found
