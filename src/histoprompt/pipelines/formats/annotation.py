"""What a reader of annotations gives, object by object, whatever the file was."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from histoprompt.core.errors import LabelError
from histoprompt.core.labels.classes import Colour
from histoprompt.pipelines.formats.polygons import parts

Kind = Literal["annotation", "detection", "cell"]
# Objects of a file whose positions do not fit any slide; read as damage, not as places.
_FARTHEST = 2.0**31


@dataclass(frozen=True, eq=False)
class Annotation:
    """One object of a file.

    Attributes
    ----------
    where : str
        The object's place in its file, for messages: ``"feature 3"``.
    polygons : tuple of shapely.Polygon
        (x, y) in level-0 pixels, the corner of the first pixel at (0, 0); valid, none empty.
    point : (x, y) or None
        Of an object that has no outline.
    id : int
        The number that the file gives it; 0 if none.
    part_of : int
        Annotations with the same number above 0 are pieces of one object.
    class_name : str
        Empty if the file gives none.
    colour : (r, g, b) or None
        Of the class.
    kind : {"annotation", "detection", "cell"}
    measurements : mapping of str to float
        What the file measured of it.
    repaired : bool
        Whether its outline crossed itself and was mended.
    """

    where: str
    polygons: tuple[shapely.Polygon, ...] = ()
    point: tuple[float, float] | None = None
    id: int = 0
    part_of: int = 0
    class_name: str = ""
    colour: Colour | None = None
    kind: Kind = "annotation"
    measurements: Mapping[str, float] = field(default_factory=dict)
    repaired: bool = False


@dataclass(eq=False)
class Reading:
    """A file that is being read, and what could not be used of it.

    Attributes
    ----------
    path : Path
        A file, or the folder of a format that has several.
    size : (rows, cols)
        Of the slide.
    offset : (row, col)
        Level-0 position of the file's first pixel, where it counts from another corner than the
        slide, such as that of openslide's bounds.
    scale : float
        Level-0 pixels a pixel of the file.
    strict : bool
        Whether an object that cannot be used ends the reading.
    problems : list of str
        A line for each object that was left out.
    """

    path: Path
    size: tuple[int, int]
    offset: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    strict: bool = False
    problems: list[str] = field(default_factory=list)

    def skip(self, where: str, why: str) -> None:
        """Leave an object out.

        Raises
        ------
        LabelError
            If the reading is strict.
        """
        line = f"{self.path.name}, {where}: {why}"
        if self.strict:
            raise LabelError(f"{line}. Nothing was imported.")
        self.problems.append(line)

    def outline(self, where: str, rings: Sequence[Any], **about: Any) -> Iterator[Annotation]:
        """An object from its outer ring and holes, each of (x, y) of the file; none if unusable."""
        try:
            placed = [self._placed(ring) for ring in rings]
            shape = shapely.Polygon(placed[0], placed[1:])
        except (TypeError, ValueError, IndexError, OverflowError, shapely.errors.ShapelyError):
            self.skip(where, "its outline is no list of at least 3 finite points")
            return
        yield from self.geometry(where, [shape], **about)

    def geometry(
        self, where: str, shapes: Sequence[BaseGeometry], **about: Any
    ) -> Iterator[Annotation]:
        """An object from shapes that are placed already; mended where they cross themselves."""
        good = [shape.is_valid for shape in shapes]
        mended = [s if ok else shapely.make_valid(s) for s, ok in zip(shapes, good, strict=True)]
        polygons = tuple(p for shape in mended for p in parts(shape) if p.area > 0)
        if not polygons:
            self.skip(where, "its outline encloses nothing")
            return
        yield Annotation(where, polygons, repaired=not all(good), **about)

    def moved(self, shape: BaseGeometry) -> BaseGeometry:
        """A shape of the file at its place on the slide."""
        if self.scale == 1.0 and self.offset == (0.0, 0.0):
            return shape
        return shapely.transform(shape, lambda xy: xy * self.scale + self.offset[::-1])

    def at(self, where: str, x: Any, y: Any, **about: Any) -> Iterator[Annotation]:
        """An object of which only a point is known, (x, y) of the file."""
        try:
            ((px, py),) = self._placed([(x, y)]).tolist()
        except (TypeError, ValueError, OverflowError):
            self.skip(where, f"({x}, {y}) is no place")
            return
        yield Annotation(where, point=(px, py), **about)

    def _placed(self, ring: Any) -> NDArray[np.float64]:
        points = np.asarray(ring, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] < 2:
            raise ValueError("no list of points")
        points = points[:, :2] * self.scale + self.offset[::-1]
        if not (np.abs(points) < _FARTHEST).all():
            raise ValueError("not finite")
        return points


def colour_of(text: object) -> Colour | None:
    """A colour from ``rgb(255,0,0)``, ``#ff0000`` or three numbers; None if it is none."""
    if isinstance(text, str):
        if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
            red, green, blue = bytes.fromhex(text[1:])
            return red, green, blue
        found: Sequence[Any] = re.findall(r"\d+(?:\.\d+)?", text)[:3]
    elif isinstance(text, Sequence):
        found = text[:3]
    else:
        return None
    try:
        values = [round(float(v)) for v in found]
    except (TypeError, ValueError, OverflowError):
        return None
    if len(values) != 3 or not all(0 <= v <= 255 for v in values):
        return None
    return values[0], values[1], values[2]


def numbers_of(table: object) -> dict[str, float]:
    """The finite numbers of a table of measurements; QuPath also writes a list of pairs."""
    if isinstance(table, list):
        table = {t.get("name"): t.get("value") for t in table if isinstance(t, dict)}
    if not isinstance(table, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in table.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def whole(value: object, most: int = 2**32 - 1) -> int:
    """A positive whole number that may be an id; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= most else 0
