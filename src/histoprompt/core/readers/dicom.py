"""DICOM whole-slide instances, through the optional package wsidicom."""

from __future__ import annotations

import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.pixel_size import PixelSize
from histoprompt.core.slides.fingerprint import text_key
from histoprompt.core.slides.levels import RgbLevel
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.printable import one_line, reason_of

if TYPE_CHECKING:
    from wsidicom import WsiDicom

_VOLUME, _SERIES, _IMAGE_TYPE, _BITS, _PHOTOMETRIC = (
    "TotalPixelMatrixColumns", "SeriesInstanceUID", "ImageType", "BitsAllocated",
    "PhotometricInterpretation",
)  # fmt: skip
# Files by their place, each with its header.
_Files: TypeAlias = dict[Path, Any]
_NO_VOLUME = ("LABEL", "OVERVIEW", "THUMBNAIL")


def open_dicom(path: Path, limits: Limits) -> Slide:
    """Open the slide that a DICOM file belongs to, or the one slide of a folder.

    A slide is a series: its files are told by what they say of themselves, wherever they came from.

    Raises
    ------
    SlideError
        If wsidicom is not installed, the files are not one whole slide, or a folder holds several.
    """
    _need_packages(path)
    with _quiet():
        return _opened(path, limits)


def _opened(path: Path, limits: Limits) -> Slide:
    folder = path if path.is_dir() else path.parent
    slides = _slides_in(folder)
    files = _chosen(path, slides)
    for file, header in files.items():
        _check(file, header, limits)
    with ExitStack() as opening:
        wsi = _open(path, list(files))
        opening.callback(wsi.close)
        # values are parsed when they are asked for, so damage shows here as well
        with _refused():
            slide = _slide(path, wsi, limits, alone=len(slides) == 1)
        opening.pop_all()  # it stays open until the slide is closed
    return slide


def _slide(path: Path, wsi: WsiDicom, limits: Limits, alone: bool) -> Slide:
    levels = sorted(wsi.levels, key=lambda level: -level.size.width)
    for level in levels:
        limits.check_sides(path.name, level.size.height, level.size.width)
    spacing = levels[0].pixel_spacing
    size = PixelSize.stated(float(spacing.width) * 1e3, float(spacing.height) * 1e3)
    uids = sorted(str(i.identifier) for level in levels for i in level.instances.values())
    tile = levels[0].tile_size
    return Slide(
        name=slide_name(path.parent if alone and not path.is_dir() else path),
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


def _need_packages(path: Path) -> None:
    try:
        import wsidicom  # noqa: F401
    except ImportError as error:
        raise SlideError(
            f"{path.name} is a DICOM slide; reading those needs one more package: "
            "pip install napari-histoprompt[dicom]"
        ) from error


def _header(file: Path) -> Any:
    """What a DICOM file says of itself, without its pixels; None if it is none or is damaged."""
    from pydicom import dcmread

    wanted = [_SERIES, _IMAGE_TYPE, _VOLUME, "TotalPixelMatrixRows", "Rows", "Columns"]
    wanted += [_BITS, _PHOTOMETRIC, "SamplesPerPixel"]
    try:
        return (
            dcmread(file, stop_before_pixels=True, specific_tags=wanted) if file.is_file() else None
        )
    except _refusals():
        return None


def _slides_in(folder: Path) -> dict[str, _Files]:
    """The files of every series of the folder that holds a slide, by its identifier."""
    series: dict[str, _Files] = defaultdict(dict)
    with_pixels = set()
    for file in sorted(folder.iterdir()):
        header = _header(file)
        if header is None or _SERIES not in header:
            continue
        try:
            uid, kinds = str(header.get(_SERIES)), header.get(_IMAGE_TYPE) or ()
        except _refusals():
            continue
        series[uid][file] = header
        if _VOLUME in header and not any(k in _NO_VOLUME for k in kinds):
            with_pixels.add(uid)
    return {uid: files for uid, files in series.items() if uid in with_pixels}


def _chosen(path: Path, slides: dict[str, _Files]) -> _Files:
    """The files of the slide that was named."""
    if path.is_dir() and len(slides) > 1:
        first = ", ".join(one_line(next(iter(files)).name, 80) for files in slides.values())
        raise SlideError(
            f"The folder {path.name} holds {len(slides):,} slides. Choose one of them by a file of "
            f"it: {one_line(first, 400)}"
        )
    for files in slides.values():
        if path.is_dir() or path in files:
            return files
    raise _no_slide(path, "no file with the pixels of a slide was found")


def _no_slide(path: Path, reason: str) -> SlideError:
    return SlideError(
        f"{path.name} holds no readable DICOM whole slide ({reason}). Choose the folder with all "
        "the .dcm files of one slide."
    )


def _check(file: Path, header: Any, limits: Limits) -> None:
    """Refuse sizes that are impossible, and values that are no colours."""
    with _refused():
        rows, cols, samples, bits, *whole = (
            int(header.get(name) or missing)
            for name, missing in (
                ("Rows", 0),
                ("Columns", 0),
                ("SamplesPerPixel", 1),
                (_BITS, 8),
                ("TotalPixelMatrixRows", 1),
                (_VOLUME, 1),
            )
        )
    if min(rows, cols) < 1:
        raise SlideError(
            f"{file.name} is damaged: it says that its tiles have {rows} x {cols} pixels. Copy or "
            "download it again."
        )
    nbytes = rows * cols * samples * bits // 8
    limits.check_piece(file.name, f"tiles of {rows} x {cols} pixels", nbytes)
    limits.check_sides(file.name, *whole)
    if bits > 8:
        raise SlideError(
            f"{file.name} holds {bits} bits a value ({one_line(str(header.get(_PHOTOMETRIC)), 40)})"
            ". histoprompt reads DICOM slides of 8 bits: export the slide as RGB."
        )


def _open(path: Path, files: list[Path]) -> WsiDicom:
    from wsidicom import WsiDicom

    try:
        return WsiDicom.open(files)
    except _refusals() as error:
        raise _no_slide(path, reason_of(error)) from error


def _refusals() -> tuple[type[BaseException], ...]:
    """What wsidicom and pydicom raise on bad files; their errors share no base."""
    from pydicom import errors as of_files
    from wsidicom import errors as of_slides

    named = (*vars(of_files).values(), *vars(of_slides).values())
    own = (e for e in named if isinstance(e, type) and issubclass(e, Exception))
    return (*own, *READ_ERRORS)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from warning of every odd value: what cannot be read is told as an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom|wsidicom")
        yield


@contextmanager
def _refused() -> Iterator[None]:
    """Turn what wsidicom and pydicom raise on bad files into one of `READ_ERRORS`."""
    try:
        yield
    except _refusals() as error:
        raise OSError(reason_of(error)) from error


def _vendor(wsi: WsiDicom) -> str | None:
    """The maker; a slide whose further metadata are damaged is shown all the same."""
    try:
        maker = wsi.metadata.equipment.manufacturer
    except _refusals():
        return None
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
        with self._lock, _quiet(), _refused():
            image = self._wsi.read_region((cols.start, rows.start), self._level, size)
        return np.asarray(image.convert("RGB"))[:: rows.step, :: cols.step, channels]
