"""OME-Zarr images, 0.4 (zarr 2) and 0.5 (zarr 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr

from histoprompt.core.errors import SlideError
from histoprompt.core.fingerprint import array_key
from histoprompt.core.formats.naming import slide_name
from histoprompt.core.formats.pixel_size import PixelSize
from histoprompt.core.formats.tiff_metadata import UM_PER_UNIT
from histoprompt.core.levels import DECODE_ERRORS, PixelRule, RgbLevel, peak_of
from histoprompt.core.slide import Slide

_LETTERS = {"y": "Y", "x": "X", "c": "C", "z": "Z", "t": "T"}


def open_ome_zarr(path: Path) -> Slide:
    """Open an OME-Zarr folder: its first multiscale image.

    Raises
    ------
    SlideError
        If the metadata are not OME-Zarr's, an array is missing, or the channels are not colours.
    """
    try:
        group = zarr.open_group(path, mode="r")
        return _slide(path, group)
    except (*DECODE_ERRORS, LookupError, TypeError, AttributeError) as error:
        raise SlideError(
            f"{path.name} is not a readable OME-Zarr image: {_reason(error)}. Choose the folder of "
            "the image itself (the one whose metadata list `multiscales`)."
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing from it"
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _slide(path: Path, group: zarr.Group) -> Slide:
    group, version = _image_group(group)
    image = _ome(group)["multiscales"][0]
    axes = _axes(image)
    arrays = [_array(group, str(d["path"])) for d in image["datasets"]]
    order = sorted(range(len(arrays)), key=lambda i: -arrays[i].shape[axes.index("Y")])
    arrays = [arrays[i] for i in order]
    channels = arrays[0].shape[axes.index("C")] if "C" in axes else 1
    if channels not in (1, 3, 4):
        raise SlideError(
            f"{path.name} has {channels} channels. histoprompt reads grey, RGB and RGBA brightfield"
            " images: export the slide as RGB."
        )
    size = _pixel_size(image, axes, order[0])
    peak, note = peak_of(arrays[-1], axes)
    levels = tuple(_level(a, axes, path.name, PixelRule(peak)) for a in arrays)
    return Slide(
        name=slide_name(path),
        key=array_key(levels),
        levels=levels,
        mpp=size.mpp,
        mpp_source="file" if size.mpp else None,
        path=str(path.resolve()),
        notes=(*size.notes, *_first_planes(arrays[0].shape, axes), *((note,) if note else ())),
        properties={"format": f"OME-Zarr {version}", "compression": _codecs(arrays[0])},
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
