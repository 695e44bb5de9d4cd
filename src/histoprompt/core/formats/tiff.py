"""Every kind of TIFF: SVS, NDPI, SCN, BIF, OME-TIFF, pyramidal and plain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage, TiffPageSeries

from histoprompt.core.errors import SlideError
from histoprompt.core.fingerprint import file_key
from histoprompt.core.formats.naming import slide_name
from histoprompt.core.formats.tiff_metadata import read_facts
from histoprompt.core.formats.tiff_tiles import TiffTiles
from histoprompt.core.levels import DECODE_ERRORS, PixelRule, RgbLevel, Source, WholeImage, peak_of
from histoprompt.core.slide import Slide

# A compressed tile or strip of more pixels than this is decoded once and kept, as every read would
# decode it again; beyond the second number that is refused.
_LARGE_CHUNK, _LARGEST_CHUNK = 2**22, 2**28

_NOT_THE_SLIDE = ("label", "macro", "thumbnail", "overview", "map")
_COLOURS = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR}


def open_tiff(path: Path) -> Slide:
    """Open a TIFF of any kind, its largest image with that image's pyramid.

    Raises
    ------
    SlideError
        If the file is cut short, holds no image, has channels that are not colours, or is
        compressed in a way that cannot be read.
    """
    tiff = _parse(path)
    try:
        return _slide(path, tiff)
    except SlideError:
        tiff.close()
        raise
    except DECODE_ERRORS as error:
        tiff.close()
        raise _incomplete(path, error) from error


def _parse(path: Path) -> TiffFile:
    """Read the directories; damage shows as almost any error."""
    try:
        tiff = TiffFile(path)
    except DECODE_ERRORS as error:
        raise _incomplete(path, error) from error
    try:
        _ = tiff.series
    except (*DECODE_ERRORS, LookupError, TypeError, AttributeError) as error:
        tiff.close()
        raise _incomplete(path, error) from error
    return tiff


def _incomplete(path: Path, error: BaseException) -> SlideError:
    reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return SlideError(
        f"{path.name} is not a complete TIFF ({reason}; it has {path.stat().st_size:,} bytes). "
        "Copy or download it again."
    )


def _slide(path: Path, tiff: TiffFile) -> Slide:
    series = _main_series(path, tiff)
    levels = _levels(tiff, series)
    planes = [_plane(path, level) for level in levels]
    rule, note = _pixel_rule(path, levels[0].keyframe, planes[-1])
    facts = read_facts(tiff, series)
    remarks = (note, _cut_short(path, levels[0].keyframe))
    return Slide(
        name=slide_name(path),
        key=file_key(path),
        levels=tuple(RgbLevel(p.source, p.axes, path.name, rule, p.chunks) for p in planes),
        mpp=facts.size.mpp,
        mpp_source="file" if facts.size.mpp else None,
        vendor=facts.vendor,
        path=str(path.resolve()),
        notes=(*facts.size.notes, *facts.notes, *planes[0].notes, *filter(None, remarks)),
        properties={**_properties(levels[0].keyframe), **facts.properties},
        release=tiff.close,
    )


def _main_series(path: Path, tiff: TiffFile) -> TiffPageSeries:
    """The largest image that is not the label, the macro picture or a thumbnail."""
    images = [s for s in tiff.series if "Y" in s.axes and "X" in s.axes]
    if not images:
        raise SlideError(f"{path.name} holds no image. Copy or download it again.")
    slides = [s for s in images if s.name.lower() not in _NOT_THE_SLIDE]
    return max(slides or images, key=_area)


def _area(series: TiffPageSeries) -> int:
    return int(series.keyframe.imagelength) * int(series.keyframe.imagewidth)


def _levels(tiff: TiffFile, series: TiffPageSeries) -> list[TiffPageSeries]:
    """The pyramid, finest first; pages that are plainly reductions count though not declared so."""
    found = list(series.levels)
    if series.kind == "generic":
        found += [s for s in tiff.series if s is not series and _is_reduction(s, series)]
    by_size = {_area(s): s for s in found}
    return [by_size[area] for area in sorted(by_size, reverse=True)]


def _is_reduction(small: TiffPageSeries, full: TiffPageSeries) -> bool:
    """Whether an image of the same layout has the full one's form, to a pixel, and fewer pixels."""
    a, b = small.keyframe, full.keyframe
    if a.dtype != b.dtype or a.samplesperpixel != b.samplesperpixel or a.is_tiled != b.is_tiled:
        return False
    factor = b.imagewidth / a.imagewidth
    return factor > 1.5 and abs(b.imagelength / factor - a.imagelength) <= 1.5


@dataclass(frozen=True)
class _Plane:
    """One level's two spatial axes and its channels, ready to be read."""

    source: Source
    axes: str
    chunks: tuple[int, int] | None
    notes: tuple[str, ...] = ()


def _plane(path: Path, level: TiffPageSeries) -> _Plane:
    """Choose how one level is read: mapped into memory, by tiles, or whole."""
    key = level.keyframe
    pages, notes = _pages(level)
    if level.dataoffset is not None and not key.is_tiled:
        dtype = np.dtype(key.parent.byteorder + level.dtype.char)
        mapped = key.parent.filehandle.memmap_array(dtype, level.shape, level.dataoffset)
        axes = "".join("C" if a in "SC" else a for a in level.axes)
        return _Plane(mapped, axes, None, notes)
    try:
        tiles = TiffTiles(pages, key)
    except ValueError as error:
        raise SlideError(
            f"{path.name} is compressed with {_compression(key)}, which cannot be read. Convert it "
            "to a TIFF with JPEG, JPEG 2000, LZW or Deflate tiles, for example with "
            f"`vips tiffsave {path.name} slide.tif --tile --pyramid --compression jpeg`."
        ) from error
    if tiles.chunks[0] * tiles.chunks[1] <= _LARGE_CHUNK:
        return _Plane(tiles, "YXS", tiles.chunks, notes)
    return _Plane(_whole(path, tiles), "YXS", None, notes)


def _whole(path: Path, tiles: TiffTiles) -> WholeImage:
    """An image stored in one piece: decode it once, if memory allows at all."""
    h, w, _ = tiles.shape
    if tiles.chunks[0] * tiles.chunks[1] > _LARGEST_CHUNK:
        raise SlideError(
            f"{path.name} stores {w} x {h} pixels in pieces of {tiles.chunks[1]} x "
            f"{tiles.chunks[0]} that must be decoded whole. Convert it to a tiled TIFF: "
            f"vips tiffsave {path.name} slide.tif --tile --pyramid --compression jpeg"
        )
    everything = (slice(0, h, 1), slice(0, w, 1), slice(None))
    decode: Callable[[], NDArray[Any]] = lambda: tiles[everything]  # noqa: E731
    return WholeImage(tiles.shape, tiles.dtype, decode)


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


def _pixel_rule(path: Path, key: TiffPage, plane: _Plane) -> tuple[PixelRule, str | None]:
    at = max(plane.axes.find("S"), plane.axes.find("C"))
    channels = plane.source.shape[at] if at >= 0 else 1
    if key.photometric not in _COLOURS or channels not in (1, 2, 3, 4):
        raise SlideError(
            f"{path.name} has {channels} channels of {PHOTOMETRIC(key.photometric).name} values. "
            "histoprompt reads grey, RGB and RGBA brightfield images: export the slide as RGB."
        )
    peak, note = peak_of(plane.source, plane.axes)
    inverted = key.photometric == PHOTOMETRIC.MINISWHITE
    return PixelRule(peak, inverted, _alpha(key.extrasamples)), note


def _cut_short(path: Path, key: TiffPage) -> str | None:
    """A note if pixels should lie behind the end of the file."""
    offsets, counts = np.asarray(key.dataoffsets), np.asarray(key.databytecounts)
    gone = int(np.count_nonzero(offsets + counts > path.stat().st_size))
    if not gone:
        return None
    unit = "tiles" if key.is_tiled else "strips"
    return f"the file is cut short: {gone} of {len(offsets)} {unit} are missing; copy it again"


def _alpha(extra: Sequence[int]) -> str:
    kinds = {EXTRASAMPLE.ASSOCALPHA: "premultiplied", EXTRASAMPLE.UNASSALPHA: "straight"}
    return kinds.get(EXTRASAMPLE(extra[0]), "ignored") if extra else "ignored"


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
