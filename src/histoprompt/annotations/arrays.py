"""What makes the chunk files of a store ordinary zarr arrays: their descriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from histoprompt.annotations import codec
from histoprompt.annotations.aside import Aside
from histoprompt.annotations.planes import ARRAYS
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.durable import make_folder

Shape = tuple[int, int]
_FILE = "zarr.json"
_TOLD = ("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "fill_value")


def describe(arrays: Path, shapes: tuple[Shape, ...], chunk: int, aside: Aside) -> list[str]:
    """Write the descriptions of the arrays that are missing or wrong; returns which were there.

    Parameters
    ----------
    arrays : Path
        The group's folder; made if missing.
    shapes : tuple of (rows, cols)
        Of the levels, finest first.
    chunk : int
        Side of a chunk.
    aside : Aside
        Keeps what is replaced.

    Raises
    ------
    OSError, ExportError
        If they cannot be written.
    """
    wrong = []
    for name, wanted in _descriptions(shapes, chunk).items():
        path = arrays / name
        if _facts(_read(path)) == _facts(json.loads(wanted)):
            continue
        if path.exists():
            wrong.append(name)
            aside.keep(path)
        make_folder(path.parent)
        replace_file(path, wanted)
    return wrong


def described(folder: Path) -> tuple[Shape, int] | None:
    """Shape and side of a chunk as the finest array of a store tells them, None if it does not."""
    raw = _read(folder / ARRAYS[0] / "0" / _FILE)
    try:
        rows, cols = raw["shape"]
        chunk = raw["chunk_grid"]["configuration"]["chunk_shape"][0]
        return (int(rows), int(cols)), int(chunk)
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _descriptions(shapes: tuple[Shape, ...], chunk: int) -> dict[str, bytes]:
    """File names and contents, as zarr itself writes them."""
    held: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(held))
    for level, shape in enumerate(shapes):
        group.create_array(
            str(level),
            shape=shape,
            chunks=(chunk, chunk),
            dtype="uint32",
            fill_value=0,
            compressors=ZstdCodec(level=codec.LEVEL),
        )
    return {name: value.to_bytes() for name, value in held.items()}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _facts(raw: Any) -> Any:
    """What a description must say; the rest differs among versions of zarr."""
    if not isinstance(raw, Mapping):
        return None
    codecs = raw.get("codecs")
    names = [c.get("name") for c in codecs if isinstance(c, Mapping)] if codecs else None
    return [raw.get(name) for name in _TOLD], names
