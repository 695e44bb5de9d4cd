"""DICOM whole-slide instances, through the optional package wsidicom."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.fingerprint import text_key
from histoprompt.core.formats.pixel_size import PixelSize
from histoprompt.core.levels import RgbLevel
from histoprompt.core.slide import Slide

if TYPE_CHECKING:
    from wsidicom import WsiDicom


def open_dicom(path: Path) -> Slide:
    """Open a folder of DICOM whole-slide instances, or the folder around one such file.

    Raises
    ------
    SlideError
        If wsidicom is not installed, or the files are not one whole slide.
    """
    wsi = _open(path)
    levels = sorted(wsi.levels, key=lambda level: -level.size.width)
    spacing = levels[0].pixel_spacing
    size = PixelSize.stated(float(spacing.width) * 1e3, float(spacing.height) * 1e3)
    uids = sorted(str(i.identifier) for level in levels for i in level.instances.values())
    tile = levels[0].tile_size
    return Slide(
        name=(path if path.is_dir() else path.parent).name,
        key=text_key(uids),
        levels=tuple(
            RgbLevel(
                _DicomLevel(wsi, level.level, (level.size.height, level.size.width)),
                "YXS",
                path.name,
                chunks=(tile.height, tile.width),
            )
            for level in levels
        ),
        mpp=size.mpp,
        mpp_source="file" if size.mpp else None,
        vendor=_vendor(wsi),
        path=str(path.resolve()),
        notes=size.notes,
        properties={"format": "DICOM", "tiles": f"{tile.height} x {tile.width}"},
        release=wsi.close,
    )


def _open(path: Path) -> WsiDicom:
    try:
        from wsidicom import WsiDicom
    except ImportError as error:
        raise SlideError(
            f"{path.name} is a DICOM slide; reading those needs one more package: "
            "pip install napari-histoprompt[dicom]"
        ) from error
    try:
        return WsiDicom.open(path if path.is_dir() else path.parent)
    except _refusals() as error:
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise SlideError(
            f"{path.name} holds no readable DICOM whole slide ({reason}). Choose the folder with "
            "all the .dcm files of one slide."
        ) from error


def _refusals() -> tuple[type[Exception], ...]:
    """What wsidicom and pydicom raise on bad files; wsidicom's errors share no base."""
    from pydicom.errors import InvalidDicomError
    from wsidicom import errors

    own = (e for n, e in vars(errors).items() if n.startswith("WsiDicom"))
    return (*own, InvalidDicomError, OSError, ValueError, KeyError, AttributeError)


def _vendor(wsi: WsiDicom) -> str | None:
    maker = wsi.metadata.equipment.manufacturer
    return None if maker in (None, "", "Unknown") else str(maker)


class _DicomLevel:
    """One level of the pyramid as an (H, W, 3) uint8 array; one read at a time."""

    dtype = np.dtype(np.uint8)

    def __init__(self, wsi: WsiDicom, level: int, shape: tuple[int, int]) -> None:
        self._wsi, self._level = wsi, level
        self.shape = (*shape, 3)
        self._lock = threading.Lock()

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        rows, cols, channels = key
        size = cols.stop - cols.start, rows.stop - rows.start
        try:
            with self._lock:
                image = self._wsi.read_region((cols.start, rows.start), self._level, size)
        except _refusals() as error:
            raise OSError(str(error)) from error
        return np.asarray(image.convert("RGB"))[:: rows.step, :: cols.step, channels]
