"""Slides behind addresses: OME-Zarr and tiled TIFF, of which only what is needed travels."""

from __future__ import annotations

import re
from contextlib import ExitStack
from urllib.parse import urlsplit

from histoprompt.core.errors import SlideError
from histoprompt.core.files.remote import NotThereError, RemoteFile, RemoteFolder
from histoprompt.core.readers.kinds import TIFF, ZARR_FILES
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.printable import one_line

_ZARR = re.compile(r"\.zarr(/|$)", re.IGNORECASE)


def open_address(address: str, limits: Limits) -> Slide:
    """Open what lies behind an address.

    Raises
    ------
    SlideError
        If it cannot be reached, is not there, is neither OME-Zarr nor a TIFF, or its server does
        not send parts of files.
    """
    if _ZARR.search(urlsplit(address).path):
        return _open_zarr(address, limits)
    try:
        file = RemoteFile(address)
        start = file.at(0, 16)
    except NotThereError:
        if not _holds_zarr(address):
            raise
        return _open_zarr(address, limits)
    if start.startswith(TIFF):
        return _open_tiff(file, limits)
    file.close()
    if _holds_zarr(address):
        return _open_zarr(address, limits)
    raise SlideError(
        f"{one_line(address)} is neither OME-Zarr nor a TIFF. Other slides cannot be read in parts "
        "from a server: download it and open the file."
    )


def _open_tiff(file: RemoteFile, limits: Limits) -> Slide:
    from histoprompt.core.readers.tiff import open_tiff

    with ExitStack() as failed:
        failed.callback(file.close)
        slide = open_tiff(file, limits)
        failed.pop_all()  # the slide closes it
    return slide


def _open_zarr(address: str, limits: Limits) -> Slide:
    from histoprompt.core.readers.ome_zarr import open_ome_zarr

    split = urlsplit(address)
    if split.query or split.fragment:
        raise SlideError(
            f"{one_line(address)} has a ? or # behind its path, which an image of many files "
            "cannot have. Give the address of its folder alone."
        )
    return open_ome_zarr(RemoteFolder(address.rstrip("/")), limits)


def _holds_zarr(address: str) -> bool:
    """Whether one of the files lies there that every OME-Zarr image has."""
    if urlsplit(address).query:
        return False
    for name in ZARR_FILES:
        try:
            RemoteFile(f"{address.rstrip('/')}/{name}").close()
        except NotThereError:
            continue
        return True
    return False
