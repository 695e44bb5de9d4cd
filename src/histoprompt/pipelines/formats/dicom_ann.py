"""DICOM Microscopy Bulk Simple Annotations: a group of polygons for each class, by wsidicom.

(column, row) in pixels of the total pixel matrix, the corner of the first pixel at (0, 0). The
format knows neither ids nor holes; an object with holes or in parts is several polygons.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely

from histoprompt.core.errors import ExportError, LabelError
from histoprompt.core.files.documents import head_of
from histoprompt.pipelines.formats.annotation import Annotation, Reading
from histoprompt.pipelines.formats.job import ExportJob, Written
from histoprompt.pipelines.formats.polygons import to_polygons, without_holes

FILE = "annotations.dcm"
_MARK = b"DICM"
# what pydicom and wsidicom raise for files that are not what they say
_DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, EOFError,
           NotImplementedError)  # fmt: skip
_MISSING = (
    "DICOM annotations need wsidicom, which is not installed: "
    "pip install 'napari-histoprompt[dicom]'."
)


def matches(path: Path) -> bool:
    """Whether a file is DICOM."""
    return head_of(path, 132)[128:] == _MARK


def read(reading: Reading) -> Iterator[Annotation]:
    """The polygons and points of a file, the label of each group as class.

    Raises
    ------
    LabelError
        If wsidicom is not installed, or the file holds no annotations.
    """
    try:
        from pydicom.errors import InvalidDicomError
        from wsidicom.graphical_annotations import AnnotationInstance, Point, Polygon
    except ImportError as error:
        raise LabelError(_MISSING) from error
    try:
        (instance,) = AnnotationInstance.open([reading.path])
    except (*_DAMAGE, InvalidDicomError) as error:
        raise LabelError(f"{reading.path.name} holds no DICOM annotations: {error}.") from error
    if instance.coordinate_type != "image":
        raise LabelError(
            f"{reading.path.name} is in millimetres of the slide's glass; only annotations in "
            "pixels of the image are read."
        )
    for index, group in enumerate(instance.groups, start=1):
        for number, item in enumerate(group.annotations, start=1):
            where = f"group {index}, annotation {number}"
            shape: Any = item.geometry
            if isinstance(shape, Polygon):
                ring = [(p.x, p.y) for p in shape.points]
                yield from reading.outline(where, [ring], class_name=group.label)
            elif isinstance(shape, Point):
                yield from reading.at(where, shape.x, shape.y, class_name=group.label)
            else:
                reading.skip(where, "a line is no area")


def write(job: ExportJob) -> Written:
    """Write ``annotations.dcm``.

    Raises
    ------
    ExportError
        If wsidicom is not installed.
    """
    try:
        from wsidicom.conceptcode import AnnotationCategoryCode, AnnotationTypeCode
        from wsidicom.graphical_annotations import (
            Annotation as Drawn,
        )
        from wsidicom.graphical_annotations import (
            AnnotationInstance,
            Polygon,
            PolygonAnnotationGroup,
        )
    except ImportError as error:
        raise ExportError(_MISSING) from error
    by_class: dict[str, list[Any]] = {name: [] for name in job.class_names}
    for label, box, _ in job.objects("Writing outlines"):
        for polygon in to_polygons(job.outlines(label, box), job.params.simplify):
            for piece in without_holes(polygon):
                ring = shapely.get_coordinates(piece.exterior)[:-1].tolist()
                by_class[job.classes.of(label)].append(Drawn(Polygon(ring)))
    category, kind = AnnotationCategoryCode("Anatomical Structure"), AnnotationTypeCode("Nucleus")
    groups = [
        PolygonAnnotationGroup(items, name, category, kind, is_double=False)
        for name, items in by_class.items()
    ]
    AnnotationInstance(groups, "image", _uids(job)).save(job.folder / FILE)
    return Written((FILE,))


def _uids(job: ExportJob) -> Any:
    """Study, series and frame of a DICOM slide; of others such as the slide's key makes."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import generate_uid
    from wsidicom.uid import SlideUids

    study = generate_uid(entropy_srcs=[job.slide.key, "study"])
    series = generate_uid(entropy_srcs=[job.slide.key, "annotations"])
    frame = generate_uid(entropy_srcs=[job.slide.key, "frame"])
    path = Path(job.slide.path or "")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        try:
            head = dcmread(file, stop_before_pixels=True)
            return SlideUids(head.StudyInstanceUID, series, head.FrameOfReferenceUID)
        except (OSError, InvalidDicomError, AttributeError):
            continue
    return SlideUids(study, series, frame)
