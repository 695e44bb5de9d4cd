"""Open a slide of any kind we know, told by its content rather than its name."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.readers.kinds import PLAIN, TIFF, ZARR_FILES
from histoprompt.core.readers.openslide_files import SUFFIXES as OPENSLIDE_SUFFIXES
from histoprompt.core.readers.openslide_files import is_openslide, open_with_openslide
from histoprompt.core.readers.pixel_size import MISSING
from histoprompt.core.readers.remote import open_address
from histoprompt.core.slides.channels import on_channel
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.overview import with_overviews
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.addresses import address_name, address_of
from histoprompt.core.strings.printable import one_line, reason_of
from histoprompt.core.strings.typed_numbers import check_mpp

Opener: TypeAlias = Callable[[Path, Limits], Slide]

_ISYNTAX = ".isyntax"
_LOOKED_AT = 200  # files of a folder, so that a folder of anything else is refused quickly
KNOWN = "SVS, NDPI, SCN, BIF, TIFF, OME-TIFF, OME-Zarr, DICOM, PNG and JPEG"


def open_slide(
    path: str | Path,
    mpp: float | None = None,
    *,
    channel: str | int | None = None,
    trust_size: bool = False,
) -> Slide:
    """Open a slide lazily.

    Parameters
    ----------
    path : str or Path
        A file (SVS, NDPI, SCN, BIF, pyramidal or plain TIFF, OME-TIFF, DICOM, PNG, JPEG) or a
        folder (OME-Zarr 0.4 or 0.5, DICOM whole-slide instances), or the address of an OME-Zarr
        image or a TIFF on a server (``https://``, ``http://``, ``s3://``). MIRAX and other files
        are read with openslide, where it is installed.
    mpp : float, optional
        Microns a level-0 pixel as typed by the user; overrides the file.
    channel : str or int, optional
        Of fluorescence: the name of the channel that shows nuclei, or its number from 1; told by
        its name if not given.
    trust_size : bool
        Whether to believe any size that the file claims, and take the memory for it.

    Returns
    -------
    Slide
        Levels finest first, each (H, W, 3) uint8. Nothing but metadata has been read of a tiled
        file.

    Raises
    ------
    SlideError
        If the file is missing, of an unknown kind, damaged, empty or compressed in a way that
        cannot be read, or if `mpp` is no pixel size.
    SlideTooLargeError
        If it claims more pixels or memory than `limits.Limits` allow, and is not trusted.
    """
    limits = Limits.none() if trust_size else Limits()
    address = address_of(path)
    if address is not None:
        name, opening = address_name(address), partial(open_address, address, limits)
    else:
        place = _place(path)
        name, opening = place.name, partial(_opener(place), place, limits)
    # The one place where what a damaged file makes a parser do becomes a message.
    try:
        slide = with_overviews(opening())
    except READ_ERRORS as error:
        raise SlideError(
            f"{one_line(name)} is damaged, incomplete or not what its name says "
            f"({reason_of(error)}). Copy or download it again."
        ) from error
    try:
        slide = slide if channel is None else on_channel(slide, channel)
        return slide if mpp is None else _with_typed_mpp(slide, mpp)
    except SlideError:
        slide.close()
        raise


def _place(path: str | Path) -> Path:
    """The file or folder that was named, if there is one and it can be opened."""
    try:
        place = Path(path).expanduser()
        kind = place.stat().st_mode
    except FileNotFoundError as error:
        raise SlideError(
            f"{one_line(str(path))} does not exist. Check the path, and that the disk is connected."
        ) from error
    except READ_ERRORS as error:
        raise SlideError(f"{one_line(str(path))} cannot be opened ({reason_of(error)}).") from error
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise SlideError(
            f"{one_line(str(path))} is neither a file nor a folder but a pipe or a device. Save "
            "the slide to a file first."
        )
    return place


def _opener(place: Path) -> Opener:
    """Choose the reader; each is imported only when a file asks for it."""
    if place.is_dir():
        return _folder_opener(place)
    start = _first_bytes(place)
    if place.suffix.lower() in OPENSLIDE_SUFFIXES:
        return open_with_openslide
    if start.startswith(TIFF):
        from histoprompt.core.readers.tiff import open_tiff

        return open_tiff
    if start.startswith(PLAIN):
        from histoprompt.core.readers.plain import open_plain

        return open_plain
    if is_dicom(place):
        from histoprompt.core.readers.dicom import open_dicom

        return open_dicom
    if start and is_openslide(place):
        return open_with_openslide
    if start and place.suffix.lower() == _ISYNTAX:
        raise SlideError(
            f"{one_line(place.name)} is a slide of Philips iSyntax, which histoprompt does not "
            "read. Convert it to OME-TIFF, such as with isyntax2raw and raw2ometiff, or export it "
            "from a viewer that opens it."
        )
    state = "is empty (0 bytes)" if not start else "is not an image of a known kind"
    raise SlideError(f"{one_line(place.name)} {state}. histoprompt opens {KNOWN}.")


def _folder_opener(place: Path) -> Opener:
    try:
        next(place.iterdir(), None)
    except OSError as error:
        raise SlideError(f"{one_line(str(place))} cannot be read ({reason_of(error)}).") from error
    if is_zarr(place):
        from histoprompt.core.readers.ome_zarr import open_ome_zarr

        return open_ome_zarr
    if is_dicom(place):
        from histoprompt.core.readers.dicom import open_dicom

        return open_dicom
    raise SlideError(
        f"The folder {one_line(place.name)} is neither an OME-Zarr image (no zarr.json, .zgroup "
        "or .zattrs in it) nor a folder of DICOM files. Choose the slide's own file or folder."
    )


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr array or group of either version; False if it cannot be read."""
    try:
        return any((folder / n).is_file() for n in ZARR_FILES)
    except OSError:
        return False


def is_dicom(place: Path) -> bool:
    """Whether a file is DICOM, or a folder holds a DICOM file (their names may be anything).

    Files and folders that cannot be read are none.
    """
    try:
        files = list(islice(place.iterdir(), _LOOKED_AT)) if place.is_dir() else [place]
        return any(_is_dicom_file(f) for f in files)
    except OSError:
        return False


def _is_dicom_file(path: Path) -> bool:
    try:
        return path.is_file() and _first_bytes(path, 132)[128:] == b"DICM"
    except (OSError, SlideError):
        return False


def _first_bytes(path: Path, count: int = 16) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise SlideError(f"{one_line(str(path))} cannot be read ({reason_of(error)}).") from error


def _with_typed_mpp(slide: Slide, mpp: float) -> Slide:
    if mpp != slide.mpp:  # what the file says itself is not a slip of the finger
        check_mpp(mpp, slide.name)
    notes = tuple(n for n in slide.notes if n != MISSING)
    if slide.mpp is not None and abs(slide.mpp - mpp) > 0.01 * slide.mpp:
        notes += (f"the file says {slide.mpp:.4g} um a pixel; {mpp:.4g} was typed and is used",)
    return replace(slide, mpp=mpp, mpp_source="typed", notes=notes)
