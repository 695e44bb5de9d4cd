"""The images and classes of a QuPath project (`project.qpproj`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import unquote, urlparse

from histoprompt.annotations.class_list import ObjectClass
from histoprompt.core.errors import LabelError, ProjectError
from histoprompt.core.files.documents import read_json
from histoprompt.pipelines.formats.qupath_classes import read_class_list
from histoprompt.pipelines.project.table import COLUMNS, ProjectSlide, id_of

QPPROJ = "project.qpproj"
_CLASSES = Path("classifiers", "classes.json")
# A server may stand in another (turned, cropped, put together), but not without end.
_DEEPEST = 20


@dataclass(frozen=True)
class QuPathProject:
    """What is taken over of a project.

    Attributes
    ----------
    slides : tuple of ProjectSlide
        Paths are those of QuPath, or where the same file lies beside the project now.
    classes : tuple of ObjectClass
    notes : tuple of str
        Images that were left out, and why.
    """

    slides: tuple[ProjectSlide, ...]
    classes: tuple[ObjectClass, ...]
    notes: tuple[str, ...]


def read_qupath(path: Path) -> QuPathProject:
    """Read a project of QuPath 0.2 or later.

    Parameters
    ----------
    path : Path
        ``project.qpproj``, or its folder.

    Raises
    ------
    ProjectError
        If it cannot be read.
    """
    file = path / QPPROJ if path.is_dir() else path
    data = read_json(file, ProjectError)
    images = data.get("images") if isinstance(data, Mapping) else None
    if not isinstance(images, list):
        raise ProjectError(f"{file} is no project of QuPath: it has no list of images.")
    before = _place(data.get("uri"))
    slides, notes = [], []
    for image in images:
        name = _name(image)
        uris = list(_uris(image)) if isinstance(image, Mapping) else []
        if not uris:
            notes.append(f"{name} is left out: its file is not told.")
            continue
        if len(set(uris)) > 1:
            notes.append(f"{name} is left out: it is put together from several files.")
            continue
        place = _beside(_place(uris[0]), before, file)
        slides.append(
            ProjectSlide(id_of(name) or id_of(place), place, _mpp(image), more=_more(image))
        )
    return QuPathProject(tuple(slides), _classes(file.parent / _CLASSES), tuple(notes))


def _name(image: Any) -> str:
    found = image.get("imageName") if isinstance(image, Mapping) else None
    return str(found or "an image")[:200]


def _uris(image: Mapping[str, Any]) -> Iterator[str]:
    """The addresses of the files an image is read from."""
    waiting: list[tuple[Any, int]] = [(image.get("serverBuilder"), 0)]
    while waiting:
        here, depth = waiting.pop()
        if isinstance(here, Mapping) and depth < _DEEPEST:
            if isinstance(here.get("uri"), str):
                yield here["uri"]
            waiting += [(v, depth + 1) for k, v in here.items() if k != "metadata"]
        elif isinstance(here, list) and depth < _DEEPEST:
            waiting += [(v, depth + 1) for v in here]


def _place(uri: Any) -> str:
    """A path of this system, or as Windows has it, from ``file:/C:/a%20b.svs``."""
    if not isinstance(uri, str):
        return ""
    parsed = urlparse(uri)
    if parsed.scheme != "file":
        return uri
    path = unquote(parsed.path)
    if parsed.netloc:
        return f"//{parsed.netloc}{path}"
    is_drive = len(path) > 2 and path[0] == "/" and path[2] == ":"
    return path[1:] if is_drive else path


def _beside(place: str, before: str, file: Path) -> str:
    """Where a file is now, if the project was moved together with it."""
    if not place or "://" in place or Path(place).exists() or not before:
        return place
    try:
        relative = os.path.relpath(
            PureWindowsPath(place).as_posix(), Path(before).parent.as_posix()
        )
    except ValueError:  # another drive
        return place
    moved = file.parent / relative
    return str(moved.resolve()) if moved.exists() else place


def _mpp(image: Mapping[str, Any]) -> float | None:
    """Microns per pixel where QuPath knows them."""
    here: Any = image
    for key in ("serverBuilder", "metadata", "pixelCalibration", "pixelWidth"):
        here = here.get(key) if isinstance(here, Mapping) else None
    if not isinstance(here, Mapping) or here.get("unit") not in ("µm", "um"):
        return None
    value = here.get("value")
    return float(value) if isinstance(value, int | float) and 0.01 < value < 100 else None


def _more(image: Mapping[str, Any]) -> dict[str, str]:
    """What a person noted of the image in QuPath, as columns."""
    noted = image.get("metadata")
    found = {str(k): str(v) for k, v in noted.items()} if isinstance(noted, Mapping) else {}
    if isinstance(image.get("description"), str) and image["description"]:
        found["description"] = image["description"]
    return {f"{k}_" if k.lower() in COLUMNS else k: " ".join(v.split()) for k, v in found.items()}


def _classes(path: Path) -> tuple[ObjectClass, ...]:
    if not path.is_file():
        return ()
    try:
        return read_class_list(path)
    except LabelError as error:
        raise ProjectError(str(error)) from error
