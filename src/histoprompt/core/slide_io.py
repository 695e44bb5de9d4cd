"""Open a slide of any kind we know, told by its content rather than its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from histoprompt.core.errors import SlideError
from histoprompt.core.formats.pixel_size import MISSING
from histoprompt.core.overview import with_overviews
from histoprompt.core.slide import Slide
from histoprompt.core.slide_info import describe
from histoprompt.core.typed_numbers import check_mpp

__all__ = ["KNOWN", "describe", "is_dicom", "is_zarr", "open_slide"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = (b"\x89PNG", b"\xff\xd8\xff")
_LOOKED_AT = 200  # files of a folder, so that a folder of anything else is refused quickly
KNOWN = "SVS, NDPI, SCN, BIF, TIFF, OME-TIFF, OME-Zarr, DICOM, PNG and JPEG"


def open_slide(path: str | Path, mpp: float | None = None) -> Slide:
    """Open a slide lazily.

    Parameters
    ----------
    path : str or Path
        A file (SVS, NDPI, SCN, BIF, pyramidal or plain TIFF, OME-TIFF, DICOM, PNG, JPEG) or a
        folder (OME-Zarr 0.4 or 0.5, DICOM whole-slide instances).
    mpp : float, optional
        Microns a level-0 pixel as typed by the user; overrides the file.

    Returns
    -------
    Slide
        Levels finest first, each (H, W, 3) uint8. Nothing but metadata has been read of a tiled
        file.

    Raises
    ------
    SlideError
        If the file is missing, of an unknown kind, damaged, empty or compressed in a way that
        cannot be read, or if `mpp` cannot be a slide's.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise SlideError(f"{place} does not exist. Check the path, and that the disk is connected.")
    slide = with_overviews(_opener(place)(place))
    return slide if mpp is None else _with_typed_mpp(slide, mpp)


def _opener(place: Path) -> Callable[[Path], Slide]:
    """Choose the reader; each is imported only when a file asks for it."""
    if place.is_dir():
        return _folder_opener(place)
    start = _first_bytes(place)
    if start.startswith(_TIFF):
        from histoprompt.core.formats.tiff import open_tiff

        return open_tiff
    if start.startswith(_PLAIN):
        from histoprompt.core.formats.plain import open_plain

        return open_plain
    if is_dicom(place):
        from histoprompt.core.formats.dicom import open_dicom

        return open_dicom
    state = "is empty (0 bytes)" if not start else "is not an image of a known kind"
    raise SlideError(f"{place.name} {state}. histoprompt opens {KNOWN}.")


def _folder_opener(place: Path) -> Callable[[Path], Slide]:
    if is_zarr(place):
        from histoprompt.core.formats.ome_zarr import open_ome_zarr

        return open_ome_zarr
    if is_dicom(place):
        from histoprompt.core.formats.dicom import open_dicom

        return open_dicom
    raise SlideError(
        f"The folder {place.name} is neither an OME-Zarr image (no zarr.json, .zgroup or .zattrs "
        "in it) nor a folder of DICOM files. Choose the slide's own file or folder."
    )


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr array or group of either version."""
    return any((folder / n).is_file() for n in ("zarr.json", ".zgroup", ".zattrs", ".zarray"))


def is_dicom(place: Path) -> bool:
    """Whether a file is DICOM, or a folder holds a DICOM file (their names may be anything)."""
    files = islice(place.iterdir(), _LOOKED_AT) if place.is_dir() else iter([place])
    return any(f.is_file() and _first_bytes(f, 132)[128:] == b"DICM" for f in files)


def _first_bytes(path: Path, count: int = 16) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise SlideError(f"{path} cannot be read ({error.strerror}).") from error


def _with_typed_mpp(slide: Slide, mpp: float) -> Slide:
    if mpp != slide.mpp:  # what the file says itself is not a slip of the finger
        check_mpp(mpp, slide.name)
    notes = tuple(n for n in slide.notes if n != MISSING)
    if slide.mpp is not None and abs(slide.mpp - mpp) > 0.01 * slide.mpp:
        notes += (f"the file says {slide.mpp:.4g} um a pixel; {mpp:.4g} was typed and is used",)
    return replace(slide, mpp=mpp, mpp_source="typed", notes=notes)
