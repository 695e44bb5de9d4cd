"""Every kind of TIFF: SVS, NDPI, SCN, BIF, OME-TIFF, pyramidal and plain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage, TiffPageSeries

from histoprompt.core.errors import SlideError
from histoprompt.core.files.remote import Place, RemoteFile, stated_path
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.ome_xml import check_ome
from histoprompt.core.readers.tiff_channels import Channels, channels_of
from histoprompt.core.readers.tiff_checks import check_page, cut_short
from histoprompt.core.readers.tiff_directories import check_directories
from histoprompt.core.readers.tiff_metadata import read_facts
from histoprompt.core.readers.tiff_tiles import TiffTiles
from histoprompt.core.slides.channels import (
    channel_note,
    dark_on_light,
    make_channels,
    named,
    nuclear,
)
from histoprompt.core.slides.fingerprint import file_key
from histoprompt.core.slides.levels import RgbLevel, Source, WholeImage, peak_of
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.same_picture import same_picture
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.printable import reason_of

# An image in compressed tiles or strips of more pixels than this is decoded once and kept, as every
# read would decode them again; unless it is too large to be kept.
_LARGE_CHUNK = 2**22

_NOT_THE_SLIDE = ("label", "macro", "thumbnail", "overview", "map")


def open_tiff(path: Place, limits: Limits) -> Slide:
    """Open a TIFF of any kind, its largest image with that image's pyramid.

    Raises
    ------
    SlideError
        If the file holds no image, has channels that are not colours, or is compressed in a way
        that cannot be read. Damage shows as any of `READ_ERRORS`.
    """
    check_directories(path, limits)
    with ExitStack() as opening:
        tiff = _tiff(path)
        opening.callback(tiff.close)
        for other in check_ome(path, tiff.ome_metadata or "", limits):
            if other.is_file():
                check_directories(other, limits)
        slide = _slide(path, tiff, limits)
        opening.pop_all()  # it stays open until the slide is closed
    return slide


def _tiff(path: Place) -> TiffFile:
    return TiffFile(path.open(), name=path.name) if isinstance(path, RemoteFile) else TiffFile(path)


def _release(path: Place, tiff: TiffFile) -> Callable[[], None]:
    """Closes what a slide holds open."""

    def close() -> None:
        tiff.close()
        if isinstance(path, RemoteFile):
            path.close()

    return close


def _slide(path: Place, tiff: TiffFile, limits: Limits) -> Slide:
    series = _main_series(path, tiff)
    first = _plane(path, series.levels[0], limits)
    channels = channels_of(path, tiff, first.source.shape, first.axes, series.keyframe)
    declared = [s for s in series.levels[1:] if _is_declared(s, series)]
    planes = [first, *(_plane(path, level, limits) for level in declared)]
    planes.sort(key=lambda plane: -plane.area)
    if channels.count:
        return _of_dyes(path, tiff, series, planes, channels)
    rule, note = _pixel_rule(path, series.keyframe, planes[-1], channels)
    levels = [_level(path, plane, rule) for plane in planes]
    more, left_out = _reductions(path, tiff, series, (rule, levels[0]), limits)
    facts = read_facts(tiff, series)
    remarks = (note, channels.note, cut_short(path, series.keyframe), *left_out)
    return Slide(
        name=slide_name(path),
        key=file_key(path),
        levels=tuple(_by_size([*levels, *more])),
        mpp=facts.size.mpp,
        mpp_source="file" if facts.size.mpp else None,
        vendor=facts.vendor,
        path=stated_path(path),
        notes=(*facts.size.notes, *facts.notes, *first.notes, *filter(None, remarks)),
        properties={**_properties(series.keyframe), **facts.properties},
        release=_release(path, tiff),
    )


def _of_dyes(
    path: Place, tiff: TiffFile, series: TiffPageSeries, planes: list[_Plane], channels: Channels
) -> Slide:
    """A slide of fluorescence, shown by the channel of its nuclei."""
    sources = [(plane.source, plane.axes, plane.chunks) for plane in planes]
    found = make_channels(path.name, sources, channels.names, channels.colours)
    at = nuclear(found)
    facts = read_facts(tiff, series)
    remarks = filter(None, (cut_short(path, series.keyframe), channel_note(found[at])))
    return Slide(
        name=slide_name(path),
        key=file_key(path),
        levels=dark_on_light(found[at], path.name),
        mpp=facts.size.mpp,
        mpp_source="file" if facts.size.mpp else None,
        vendor=facts.vendor,
        path=stated_path(path),
        notes=(*facts.size.notes, *facts.notes, *planes[0].notes, *remarks),
        properties={**_properties(series.keyframe), **facts.properties, **named(found)},
        channels=found,
        shown_channel=at,
        release=_release(path, tiff),
    )


def _level(path: Place, plane: _Plane, rule: PixelRule) -> RgbLevel:
    return RgbLevel(plane.source, plane.axes, path.name, rule, plane.chunks)


def _by_size(levels: list[RgbLevel]) -> list[RgbLevel]:
    """Finest first, one of each size."""
    by_area = {level.size: level for level in levels}
    return [by_area[area] for area in sorted(by_area, reverse=True)]


def _main_series(path: Place, tiff: TiffFile) -> TiffPageSeries:
    """The largest image that is not the label, the macro picture or a thumbnail."""
    images = [s for s in tiff.series if "Y" in s.axes and "X" in s.axes]
    if not images:
        raise SlideError(f"{path.name} holds no image. Copy or download it again.")
    slides = [s for s in images if s.name.lower() not in _NOT_THE_SLIDE]
    return max(slides or images, key=_area)


def _area(series: TiffPageSeries) -> int:
    return int(series.keyframe.imagelength) * int(series.keyframe.imagewidth)


def _reductions(
    path: Place,
    tiff: TiffFile,
    series: TiffPageSeries,
    full: tuple[PixelRule, RgbLevel],
    limits: Limits,
) -> tuple[list[RgbLevel], list[str]]:
    """Pages that are the picture at a smaller size though not declared so, and what is left out.

    A page of the same form may be another picture, so its pixels must show the same.
    """
    found: list[RgbLevel] = []
    notes: list[str] = []
    if series.kind != "generic":
        return found, notes
    rule, finest = full
    guessed = [s for s in series.levels[1:] if not _is_declared(s, series)]
    for other in [*guessed, *(s for s in tiff.series if s is not series)]:
        if not _is_reduction(other, series):
            continue
        level = _level(path, _plane(path, other, limits), rule)
        if same_picture(finest, level):
            found.append(level)
        else:
            rows, cols = level.shape[:2]
            notes.append(f"a page of {rows} x {cols} pixels is another picture and was left out")
    return found, notes


def _is_declared(small: TiffPageSeries, full: TiffPageSeries) -> bool:
    """Whether the file itself says that an image is a reduction.

    A maker's layout says it, and so do a page of its own below the full one (SubIFD) and the mark
    of a reduced image. Else it is a guess from the sizes of pages.
    """
    below = isinstance(small.keyframe.index, tuple)
    return full.kind != "generic" or below or small.keyframe.is_reduced


def _is_reduction(small: TiffPageSeries, full: TiffPageSeries) -> bool:
    """Whether an image of the same layout has the full one's form, to a pixel, and fewer pixels."""
    a, b = small.keyframe, full.keyframe
    if a.dtype != b.dtype or a.samplesperpixel != b.samplesperpixel or a.is_tiled != b.is_tiled:
        return False
    factor = b.imagewidth / max(a.imagewidth, 1)
    return factor > 1.5 and abs(b.imagelength / factor - a.imagelength) <= 1.5


@dataclass(frozen=True)
class _Plane:
    """One level's two spatial axes and its channels, ready to be read."""

    source: Source
    axes: str
    chunks: tuple[int, int] | None
    notes: tuple[str, ...] = ()

    @property
    def area(self) -> int:
        """Pixels."""
        shape = self.source.shape
        return int(shape[self.axes.index("Y")]) * int(shape[self.axes.index("X")])


def _plane(path: Place, level: TiffPageSeries, limits: Limits) -> _Plane:
    """Choose how one level is read: mapped into memory, by tiles, or whole."""
    key = level.keyframe
    check_page(path, key, limits)
    pages, notes = _pages(level)
    here = isinstance(path, Path)  # what lies on a server cannot be mapped
    as_is = here and key.photometric != PHOTOMETRIC.YCBCR and not key.is_tiled
    if level.dataoffset is not None and as_is:
        dtype = np.dtype(key.parent.byteorder + level.dtype.char)
        file = key.parent.filehandle
        if file.closed:  # another file of an OME-TIFF in several
            file.open()
        mapped = file.memmap_array(dtype, level.shape, level.dataoffset)
        axes = "".join("C" if a in "SC" else a for a in level.axes)
        return _Plane(mapped, axes, None, notes)
    try:
        tiles = TiffTiles(pages, key)
    except (ValueError, NotImplementedError) as error:
        raise SlideError(
            f"{path.name} is compressed with {_compression(key)}, which cannot be read "
            f"({reason_of(error)}). Convert it to a TIFF with JPEG, JPEG 2000, LZW or Deflate "
            "tiles and a pyramid, for example with libvips."
        ) from error
    h, w, channels = tiles.shape
    whole = h * w * channels * tiles.dtype.itemsize
    held = whole if tiles.is_one_piece else whole + 2 * tiles.piece_bytes
    if tiles.chunks[0] * tiles.chunks[1] <= _LARGE_CHUNK or held > limits.piece_bytes:
        return _Plane(tiles, "YXS", tiles.chunks, notes)
    return _Plane(WholeImage(tiles.shape, tiles.dtype, tiles.whole), "YXS", None, notes)


def _pages(level: TiffPageSeries) -> tuple[list[Any], tuple[str, ...]]:
    """The page or pages (one a channel) of the first plane, and what was left out."""
    key = level.keyframe
    leading = level.axes[: len(level.axes) - len(key.axes.replace("S", "")) - ("S" in key.axes)]
    counts = dict(zip(leading, level.shape, strict=False))
    others = {a: n for a, n in counts.items() if a != "C" and n > 1}
    notes = tuple(f"the first of {n} planes along {a} is shown" for a, n in others.items())
    shape = tuple(counts[a] for a in leading)
    places = [tuple(c if a == "C" else 0 for a in leading) for c in range(counts.get("C", 1))]
    indices = [int(np.ravel_multi_index(p, shape)) if p else 0 for p in places]
    return [level.pages[i] for i in indices if i < len(level.pages)], notes


def _pixel_rule(
    path: Place, key: TiffPage, plane: _Plane, channels: Channels
) -> tuple[PixelRule, str | None]:
    bits = key.bitspersample if isinstance(key.bitspersample, int) else None
    peak, note = peak_of(plane.source, plane.axes, bits, path.name)
    return PixelRule(peak, key.photometric == PHOTOMETRIC.MINISWHITE, channels.alpha), note


def _compression(key: TiffPage) -> str:
    try:
        return COMPRESSION(key.compression).name
    except ValueError:
        return f"method {key.compression}"


def _properties(key: TiffPage) -> dict[str, str]:
    unit = "tiles" if key.is_tiled else "strips"
    rows, cols = (
        (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, key.imagewidth)
    )
    return {
        "format": "TIFF",
        "compression": _compression(key),
        unit: f"{min(rows, key.imagelength)} x {cols}",
    }
