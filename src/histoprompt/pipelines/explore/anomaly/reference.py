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
from histoprompt.core.strings.addresses import is_address
from histoprompt.pipelines.explore.tile_set import TiledSlide, TileSet
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
    elsewhere : tuple of (str, Named)
        Boxes and files on slides that are named with them.
    """

    boxes: tuple[Box, ...] = ()
    files: tuple[Path, ...] = ()
    slides: tuple[str, ...] = ()
    elsewhere: tuple[tuple[str, Named], ...] = ()

    @property
    def on_first(self) -> bool:
        """Whether something lies on the first slide."""
        return bool(self.boxes or self.files)

    def on(self, number: int, slide: TiledSlide) -> Named:
        """The boxes and files that lie on the slide of this number."""
        here = [one for name, one in self.elsewhere if name in (slide.name, slide.path, slide.key)]
        if number == 0:
            here = [self, *here]
        boxes = tuple(box for one in here for box in one.boxes)
        return Named(boxes, tuple(path for one in here for path in one.files))

    def unknown(self, slides: Sequence[TiledSlide]) -> tuple[str, ...]:
        """Slides that are named and not among these."""
        known = {text for slide in slides for text in (slide.name, slide.path, slide.key)}
        return tuple(dict.fromkeys(name for name, _ in self.elsewhere if name not in known))


def parse_reference(texts: Sequence[str]) -> Named:
    """Tell boxes, GeoJSON files and slides apart.

    ``SLIDE:r0,c0,r1,c1`` and ``SLIDE:drawn.geojson`` lie on the slide that is named.

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
    boxes: list[Box] = []
    files: list[Path] = []
    slides: list[str] = []
    elsewhere: list[tuple[str, Named]] = []
    for text in given:
        name, what = _parted(text)
        place = _place(what)
        if place is None:
            slides.append(text)
        elif name:
            elsewhere.append((name, place))
        else:
            boxes += place.boxes
            files += place.files
    return Named(tuple(boxes), tuple(files), tuple(slides), tuple(elsewhere))


def _parted(text: str) -> tuple[str, str]:
    """The slide that is named before the last colon, if what follows is a place; and the place."""
    name, colon, what = text.rpartition(":")
    if colon and len(name) > 1 and not is_address(text) and _place(what) is not None:
        return name, what
    return "", text


def _place(text: str) -> Named | None:
    """A box or a file of regions; None if it is neither."""
    if _BOX.fullmatch(text):
        return Named(boxes=(Box(*map(int, text.split(","))),))
    return Named(files=(Path(text),)) if text.lower().endswith(_GEOJSON) else None


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


def reference_tiles(tiles: TileSet, named: Named, class_name: str) -> NDArray[np.bool_]:
    """As `in_reference`, on each slide that the reference names.

    Raises
    ------
    RegionError
        As `in_reference`, and if it names a slide that is not among those of the tiles.
    """
    unknown = named.unknown(tiles.slides)
    if unknown:
        known = ", ".join(slide.name for slide in tiles.slides[:5])
        raise RegionError(
            f"The reference names {', '.join(unknown)}, which is none of the slides: {known}."
        )
    found = np.zeros(len(tiles), bool)
    for number, slide in enumerate(tiles.slides):
        here = named.on(number, slide)
        if here.on_first:
            found |= in_reference(tiles, number, here, class_name)
    return found
