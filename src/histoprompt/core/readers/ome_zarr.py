"""OME-Zarr images, 0.4 (zarr 2) and 0.5 (zarr 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr

from histoprompt.core.errors import SlideError
from histoprompt.core.files.read_errors import READ_ERRORS
from histoprompt.core.readers.bounded_codecs import bounded
from histoprompt.core.readers.naming import slide_name
from histoprompt.core.readers.ome_xml import dyes_named
from histoprompt.core.readers.pixel_size import PixelSize
from histoprompt.core.readers.tiff_channels import TAKEN_FOR_RGB
from histoprompt.core.readers.tiff_metadata import UM_PER_UNIT
from histoprompt.core.slides.fingerprint import array_key
from histoprompt.core.slides.levels import RgbLevel, peak_of
from histoprompt.core.slides.limits import Limits
from histoprompt.core.slides.pixel_rule import PixelRule
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.printable import one_line, reason_of

_LETTERS = {"y": "Y", "x": "X", "c": "C", "z": "Z", "t": "T"}
# Many chunks of fewer pixels than this would be a file each for hardly anything.
_SMALL_CHUNK, _MANY_CHUNKS = 64 * 64, 2**20


def open_ome_zarr(path: Path, limits: Limits) -> Slide:
    """Open an OME-Zarr folder: its first multiscale image.

    Raises
    ------
    SlideError
        If the metadata are not OME-Zarr's, an array is missing, or the channels are not colours.
    """
    try:
        group = zarr.open_group(path, mode="r")
        return _slide(path, group, limits)
    except READ_ERRORS as error:
        raise SlideError(
            f"{path.name} is not a readable OME-Zarr image: {reason_of(error)}. Choose the folder "
            "of the image itself (the one whose metadata list `multiscales`)."
        ) from error


def _slide(path: Path, group: zarr.Group, limits: Limits) -> Slide:
    group, version = _image_group(group)
    image = _ome(group)["multiscales"][0]
    axes = _axes(image)
    arrays = [_array(group, str(d["path"])) for d in image["datasets"]]
    for array in arrays:
        _check(path, array, axes, limits)
    order = sorted(range(len(arrays)), key=lambda i: -arrays[i].shape[axes.index("Y")])
    stored = arrays[order[0]]
    arrays = [bounded(arrays[i]) for i in order]
    assumed = _channels(path, group, arrays[0].shape, axes)
    size = _pixel_size(image, axes, order[0])
    peak, note = peak_of(arrays[-1], axes, name=path.name)
    levels = tuple(_level(a, axes, path.name, PixelRule(peak)) for a in arrays)
    planes = _first_planes(arrays[0].shape, axes)
    return Slide(
        name=slide_name(path),
        key=array_key(levels),
        levels=levels,
        mpp=size.mpp,
        mpp_source="file" if size.mpp else None,
        path=str(path.resolve()),
        notes=(*size.notes, *planes, *filter(None, (assumed, note))),
        properties={"format": f"OME-Zarr {version}", "compression": _codecs(stored)},
    )


def _check(path: Path, array: zarr.Array[Any], axes: str, limits: Limits) -> None:
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


def _channels(path: Path, group: zarr.Group, shape: Sequence[int], axes: str) -> str | None:
    """Refuse channels that are no colours; a note where three are taken for them."""
    count = int(shape[axes.index("C")]) if "C" in axes else 1
    if count == 1:
        return None
    told = _ome(group).get("omero")
    listed = told.get("channels") if isinstance(told, Mapping) else None
    names = [str(c.get("label", "")) for c in listed or () if isinstance(c, Mapping)]
    dyes = dyes_named(names)
    if count == 3 and not dyes:
        return TAKEN_FOR_RGB
    named = f" ({one_line(', '.join(dyes), 80)})" if dyes else ""
    raise SlideError(
        f"{path.name} has {count} channels{named}, which are not red, green and blue. histoprompt "
        "reads grey and RGB brightfield images: export the slide as RGB."
    )


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


def _level(array: zarr.Array[Any], axes: str, name: str, rule: PixelRule) -> RgbLevel:
    chunks = array.chunks[axes.index("Y")], array.chunks[axes.index("X")]
    return RgbLevel(array, axes, name, rule, chunks)


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
