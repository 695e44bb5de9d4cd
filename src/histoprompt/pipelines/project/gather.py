"""Slides for a project from whatever a person names: files, folders, a table, a QuPath project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.core.errors import ProjectError
from histoprompt.core.readers.open import is_dicom, is_zarr
from histoprompt.core.strings.addresses import is_address
from histoprompt.pipelines.project.qupath import QPPROJ, read_qupath
from histoprompt.pipelines.project.relink import slide_files
from histoprompt.pipelines.project.table import ProjectSlide, id_of, read_slides

_TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Gathered:
    """What was found.

    Attributes
    ----------
    slides : tuple of ProjectSlide
    notes : tuple of str
        What was left out.
    classes : tuple of ObjectClass
        Of a QuPath project.
    """

    slides: tuple[ProjectSlide, ...]
    notes: tuple[str, ...] = ()
    classes: tuple[ObjectClass, ...] = ()


def gathered(places: Sequence[Path]) -> Gathered:
    """All slides that are named.

    Parameters
    ----------
    places : sequence of Path
        Slides, folders that hold slides, tables with a column ``path``, QuPath projects.

    Raises
    ------
    ProjectError
        If one of them does not exist, holds no slide, or cannot be read.
    """
    slides: list[ProjectSlide] = []
    notes: list[str] = []
    classes: list[ObjectClass] = []
    for place in places:
        found = _gathered(place)
        slides += found.slides
        notes += found.notes
        classes += found.classes
    return Gathered(tuple(slides), tuple(notes), tuple(classes))


def _gathered(place: Path) -> Gathered:
    if is_address(str(place)):
        return Gathered((_slide(str(place)),))
    place = place.expanduser()
    if not place.exists():
        raise ProjectError(f"{place} does not exist. Check the path, and that its disk is there.")
    if place.suffix.lower() in _TABLES:
        return Gathered(tuple(_from_table(place, s) for s in read_slides(place).slides))
    if place.name == QPPROJ or (place / QPPROJ).is_file():
        found = read_qupath(place)
        return Gathered(found.slides, found.notes, found.classes)
    if place.is_dir() and not is_zarr(place) and not _is_dicom_slide(place):
        slides = tuple(_slide(str(path)) for path in slide_files(place))
        if not slides:
            raise ProjectError(f"{place} holds no slide, nor do the folders in it.")
        return Gathered(slides)
    return Gathered((_slide(str(place)),))


def _is_dicom_slide(place: Path) -> bool:
    """Whether the files of a folder are one slide, and not the folders in it one each."""
    return is_dicom(place) and not any(path.is_dir() for path in place.iterdir())


def _slide(path: str) -> ProjectSlide:
    return ProjectSlide(id_of(path), path)


def _from_table(table: Path, slide: ProjectSlide) -> ProjectSlide:
    """Paths of a table are relative to it."""
    if not slide.path or is_address(slide.path) or Path(slide.path).expanduser().is_absolute():
        return slide
    return replace(slide, path=str(table.parent / slide.path))
