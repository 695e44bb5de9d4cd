"""What a person calls normal: a box, drawn regions of a class, or slides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError
from histoprompt.core.geometry import Box
from histoprompt.pipelines.explore.tile_set import TileSet
from histoprompt.pipelines.formats.regions import inside_any, read_regions

_BOX = re.compile(r"\s*-?\d+\s*(,\s*-?\d+\s*){3}")
_GEOJSON = (".geojson", ".json")


@dataclass(frozen=True)
class Named:
    """A reference as it was typed.

    Attributes
    ----------
    boxes : tuple of Box
        On the first slide.
    files : tuple of Path
        GeoJSON of regions on the first slide.
    slides : tuple of str
        Paths of slides, projects or their names.
    """

    boxes: tuple[Box, ...] = ()
    files: tuple[Path, ...] = ()
    slides: tuple[str, ...] = ()


def parse_reference(texts: Sequence[str]) -> Named:
    """Tell boxes, GeoJSON files and slides apart.

    Raises
    ------
    RegionError
        If nothing is given, or a box is empty.
    """
    given = [text.strip() for text in texts if text.strip()]
    if not given:
        raise RegionError(
            "The reference is empty. Give a box of normal tissue, a file of drawn regions, or "
            "normal slides."
        )
    boxes = [text for text in given if _BOX.fullmatch(text)]
    files = [t for t in given if t not in boxes and t.lower().endswith(_GEOJSON)]
    slides = [t for t in given if t not in boxes and t not in files]
    return Named(
        tuple(Box(*map(int, text.split(","))) for text in boxes),
        tuple(map(Path, files)),
        tuple(slides),
    )


def in_reference(tiles: TileSet, slide: int, named: Named, class_name: str) -> NDArray[np.bool_]:
    """Which tiles have their middle in the boxes and regions of a reference, (n,) bool.

    Parameters
    ----------
    tiles : TileSet
    slide : int
        The one they lie on.
    named : Named
    class_name : str
        Only regions of this name or class; all of them if empty.

    Raises
    ------
    RegionError
        If a box reaches outside the slide, or no region has the class.
    LabelError
        If a file cannot be read.
    """
    of, at = tiles.slides[slide], tiles.centres
    whole = Box(0, 0, *of.shape)
    found = np.zeros(len(tiles), bool)
    for box in named.boxes:
        if not whole.covers(box):
            raise RegionError(
                f"The reference {','.join(f'{v:g}' for v in box)} reaches outside {of.name}, which "
                f"has {of.shape[0]} rows and {of.shape[1]} columns."
            )
        low, high = np.array([box.r0, box.c0]) - 0.5, np.array([box.r1, box.c1]) - 0.5
        found |= ((at >= low) & (at < high)).all(axis=1)
    for path in named.files:
        regions = read_regions(path, of.shape)
        names = sorted({name for r in regions for name in (r.name, r.class_name) if name})
        if class_name:
            regions = [r for r in regions if class_name in (r.name, r.class_name)]
        if not regions:
            raise RegionError(
                f"{path} has no region called {class_name!r}; there are {', '.join(names)}."
            )
        found |= inside_any(regions, at)
    return found & tiles.of_slide(slide)
