"""OME-Zarr images, 0.4 (zarr 2) and 0.5 (zarr 3)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.files.remote import RemoteFolder, stated_path
from histoprompt.core.readers.bounded_codecs import bounded
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.ome_xml import dyes_named
from histoprompt.core.readers.pixel_size import PixelSize
from histoprompt.core.readers.remote_zarr import store_at
from histoprompt.core.readers.tiff_channels import TAKEN_FOR_RGB
from histoprompt.core.readers.tiff_metadata import UM_PER_UNIT
from histoprompt.core.slides.channels import (
    channel_note,
    dark_on_light,
    make_channels,
    named,
    nuclear,
)
from histoprompt.core.slides.fingerprint import array_key
from histoprompt.core.slides.levels import RgbLevel, Source, WholeImage, peak_of
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.slide import Channel, Slide
from histoprompt.core.strings.printable import one_line, reason_of

_HEX = re.compile(r"#?([0-9a-fA-F]{6})([0-9a-fA-F]{2})?")
_LETTERS = {"y": "Y", "x": "X", "c": "C", "z": "Z", "t": "T"}
# Many chunks of fewer pixels than this would be a file each for hardly anything.
_SMALL_CHUNK, _MANY_CHUNKS = 64 * 64, 2**20
# An array in at most so many chunks of more bytes than this is kept once it was read: else every
# read would decode most of it again.
_FEW, _LARGE_CHUNK = 4, 2**24


def open_ome_zarr(path: Path | RemoteFolder, limits: Limits) -> Slide:
    """Open an OME-Zarr folder: its first multiscale image.

    Raises
    ------
    SlideError
        If the metadata are not OME-Zarr's, an array is missing, or an axis is of no known kind.
    """
    try:
        store = store_at(path) if isinstance(path, RemoteFolder) else path
        group = zarr.open_group(store, mode="r")
        return _slide(path, group, limits)
    except READ_ERRORS as error:
        raise SlideError(
            f"{path.name} is not a readable OME-Zarr image: {reason_of(error)}. Choose the folder "
            "of the image itself (the one whose metadata list `multiscales`)."
        ) from error


def _slide(path: Path | RemoteFolder, group: zarr.Group, limits: Limits) -> Slide:
    group, version = _image_group(group)
    image = _ome(group)["multiscales"][0]
    axes = _axes(image)
    arrays = [_array(group, str(d["path"])) for d in image["datasets"]]
    for array in arrays:
        _check(path, array, axes, limits)
    order = sorted(range(len(arrays)), key=lambda i: -arrays[i].shape[axes.index("Y")])
    stored = arrays[order[0]]
    sources: list[Source] = [bounded(arrays[i]) for i in order]
    if isinstance(path, Path):
        sources = [_kept(bounded(arrays[i]), limits) for i in order]
    dyes = _dyes(group, stored.shape, axes)
    size = _pixel_size(image, axes, order[0])
    made = _in_dyes(path, sources, axes, dyes) if dyes else _in_colours(path, sources, axes)
    planes = _first_planes(stored.shape, axes)
    return Slide(
        name=slide_name(path),
        key=array_key([*made.levels, *(c.levels[-1] for c in made.channels)]),
        levels=made.levels,
        mpp=size.mpp,
        mpp_source="file" if size.mpp else None,
        path=stated_path(path),
        notes=(*size.notes, *planes, *made.notes),
        properties={"format": f"OME-Zarr {version}", "compression": _codecs(stored)}
        | made.properties,
        channels=made.channels,
        shown_channel=made.shown_channel,
    )


def _check(path: Path | RemoteFolder, array: zarr.Array[Any], axes: str, limits: Limits) -> None:
    """Refuse an array whose sizes are impossible, before a chunk of it is read."""
    if array.ndim != len(axes):
        raise ValueError(f"{array.path} has {array.ndim} axes, and {len(axes)} are named")
    at = axes.index("Y"), axes.index("X")
    rows, cols = (int(array.shape[i]) for i in at)
    high, wide = (int(array.chunks[i]) for i in at)
    if min(array.shape) < 1 or min(array.chunks) < 1:
        raise ValueError(f"{array.path} has the shape {array.shape}: there are no pixels")
    limits.check_sides(path.name, rows, cols)
    piece = math.prod(int(n) for n in array.chunks) * array.dtype.itemsize
    limits.check_piece(path.name, f"chunks of {high} x {wide} pixels", piece)
    if array.shards is not None:
        inner = math.prod(-(-s // c) for s, c in zip(array.shards, array.chunks, strict=True))
        limits.check_piece(path.name, f"shards of {inner:,} chunks", 16 * inner)
    chunks = -(-rows // high) * -(-cols // wide)
    if chunks > _MANY_CHUNKS and high * wide < _SMALL_CHUNK:
        raise ValueError(f"{array.path} is cut into {chunks:,} chunks of {high} x {wide} pixels")


@dataclass(frozen=True)
class _Shown:
    """What is shown of an image, and how."""

    levels: tuple[RgbLevel, ...]
    notes: tuple[str, ...]
    channels: tuple[Channel, ...] = ()
    shown_channel: int | None = None
    properties: dict[str, str] = field(default_factory=dict)


def _in_colours(path: Path | RemoteFolder, arrays: Sequence[Source], axes: str) -> _Shown:
    peak, note = peak_of(arrays[-1], axes, name=path.name)
    levels = tuple(_level(a, axes, path.name, PixelRule(peak)) for a in arrays)
    three = "C" in axes and arrays[0].shape[axes.index("C")] == 3
    return _Shown(levels, tuple(filter(None, (TAKEN_FOR_RGB if three else None, note))))


def _in_dyes(
    path: Path | RemoteFolder,
    arrays: Sequence[Source],
    axes: str,
    dyes: list[tuple[str, str | None]],
) -> _Shown:
    names, colours = zip(*dyes, strict=True)
    sources = [(a, axes, _chunks(a, axes)) for a in arrays]
    found = make_channels(path.name, sources, names, colours)
    at = nuclear(found)
    levels = dark_on_light(found[at], path.name)
    return _Shown(levels, (channel_note(found[at]),), found, at, named(found))


def _dyes(group: zarr.Group, shape: Sequence[int], axes: str) -> list[tuple[str, str | None]]:
    """(name, colour) of channels that are pictures of their own; none if they are colours."""
    count = int(shape[axes.index("C")]) if "C" in axes else 1
    told = _ome(group).get("omero")
    listed = told.get("channels") if isinstance(told, Mapping) else None
    stated = [c if isinstance(c, Mapping) else {} for c in listed or ()]
    facts = [(str(c.get("label") or ""), _colour(c.get("color"))) for c in stated]
    facts = (facts + [("", None)] * count)[:count]
    colours = count == 1 or (count == 3 and not dyes_named([name for name, _ in facts]))
    return [] if colours else facts


def _colour(text: object) -> str | None:
    found = _HEX.fullmatch(str(text or ""))
    return f"#{found[1].lower()}" if found and int(found[1], 16) else None


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """The OME attributes: under `ome` since 0.5."""
    attributes: Mapping[str, Any] = group.attrs.asdict()
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes


def _image_group(group: zarr.Group) -> tuple[zarr.Group, str]:
    """The group that holds the image: itself, or series 0 as bioformats2raw lays them out."""
    attributes = _ome(group)
    if "multiscales" not in attributes and "bioformats2raw.layout" in attributes:
        inner = group["0"]
        group = inner if isinstance(inner, zarr.Group) else group
    image = _ome(group)["multiscales"][0]
    return group, str(_ome(group).get("version") or image.get("version", "of unknown version"))


def _axes(image: Mapping[str, Any]) -> str:
    named = image.get("axes") or list("tczyx")
    names = [a["name"] if isinstance(a, Mapping) else a for a in named]
    axes = "".join(_LETTERS[n] for n in names)
    if not {"Y", "X"} <= set(axes):
        raise ValueError(f"its axes are {names}, without y and x")
    return axes


def _array(group: zarr.Group, path: str) -> zarr.Array[Any]:
    if ".." in path.replace("\\", "/").split("/"):
        raise ValueError(f"it names an array outside its own folder ({one_line(path, 80)})")
    array = group[path]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{path} is not an array")
    return array


def _level(array: Source, axes: str, name: str, rule: PixelRule) -> RgbLevel:
    return RgbLevel(array, axes, name, rule, _chunks(array, axes))


def _kept(array: zarr.Array[Any], limits: Limits) -> Source:
    """The array; one in few large chunks is kept once it was read, if there is memory for it."""
    chunk = math.prod(array.chunks) * array.dtype.itemsize
    few = chunk > _LARGE_CHUNK and array.nbytes <= _FEW * chunk
    return KeptArray(array) if few and array.nbytes + chunk <= limits.piece_bytes else array


class KeptArray(WholeImage):
    """An array that is decoded at the first read, and says how it is cut."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        super().__init__(array.shape, array.dtype, lambda: np.asarray(array[...]))
        self.chunks = array.chunks


def _chunks(array: Source, axes: str) -> tuple[int, int]:
    chunks: tuple[int, ...] = array.chunks  # type: ignore[attr-defined]
    return chunks[axes.index("Y")], chunks[axes.index("X")]


def _pixel_size(image: Mapping[str, Any], axes: str, finest: int) -> PixelSize:
    """From the scales of the finest dataset and of the whole image, where the axes have a unit."""
    shared = _scale(image.get("coordinateTransformations"), len(axes))
    own = _scale(image["datasets"][finest].get("coordinateTransformations"), len(axes))

    def of(letter: str) -> float | None:
        at = axes.index(letter)
        axis = (image.get("axes") or [])[at : at + 1]
        unit = axis[0].get("unit") if axis and isinstance(axis[0], Mapping) else None
        per_unit = UM_PER_UNIT.get(str(unit))
        return None if per_unit is None else own[at] * shared[at] * per_unit

    return PixelSize.stated(of("X"), of("Y"))


def _scale(transformations: Sequence[Mapping[str, Any]] | None, axes: int) -> list[float]:
    for one in transformations or ():
        if one.get("type") == "scale":
            return [float(v) for v in one["scale"]]
    return [1.0] * axes


def _first_planes(shape: Sequence[int], axes: str) -> list[str]:
    return [
        f"the first of {n} planes along {a} is shown"
        for a, n in zip(axes, shape, strict=True)
        if a in "TZ" and n > 1
    ]


def _codecs(array: zarr.Array[Any]) -> str:
    names = [type(c).__name__.removesuffix("Codec") for c in array.compressors]
    return ", ".join(names) or "none"
