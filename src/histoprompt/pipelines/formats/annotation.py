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
from histoprompt.pipelines.formats.polygons import mend, parts

Kind = Literal["annotation", "detection", "cell"]
Rings = tuple[NDArray[np.float64], ...]
MOST_ID = 2**32 - 1
_NUMBER = re.compile(r"\s*[-+]?\d+\s*\Z")
# Objects of a file whose positions do not fit any slide; read as damage, not as places.
_FARTHEST = 2.0**31


@dataclass(frozen=True, eq=False, slots=True)
class Annotation:
    """One object of a file.

    Attributes
    ----------
    where : str
        The object's place in its file, for messages: ``"feature 3"``.
    areas : tuple of tuple of (n, 2) float64
        Its polygons as they are drawn in the file, outer ring and holes, not looked at yet: (x, y)
        in level-0 pixels, the corner of the first pixel at (0, 0).
    shapes : tuple of shapely geometry
        Further areas of it, placed likewise.
    point : (x, y) or None
        Of an object that has no outline.
    id : int
        The number that the file gives it; 0 if none.
    part_of : int
        Annotations with the same number above 0 are pieces of one object.
    name : str
        What the file calls the object itself; empty if it does not.
    class_name : str
        Empty if the file gives none.
    colour : (r, g, b) or None
        Of the class.
    kind : {"annotation", "detection", "cell"}
    measurements : mapping of str to float
        What the file measured of it.
    region : bool
        Whether it is what others lie in, as QuPath's annotations are of detections.
    has_nucleus : bool
        Whether the file outlines both a cell and its nucleus; this is the one that was asked for.
    """

    where: str
    areas: tuple[Rings, ...] = ()
    shapes: tuple[BaseGeometry, ...] = ()
    point: tuple[float, float] | None = None
    id: int = 0
    part_of: int = 0
    name: str = ""
    class_name: str = ""
    colour: Colour | None = None
    kind: Kind = "annotation"
    measurements: Mapping[str, float] = field(default_factory=dict)
    region: bool = False
    has_nucleus: bool = False

    @property
    def polygons(self) -> tuple[shapely.Polygon, ...]:
        """Valid polygons of it, none empty, mended where they cross themselves."""
        return tuple(settled([self]).polygons.tolist())


@dataclass(frozen=True, eq=False)
class Settled:
    """The polygons of many annotations.

    Attributes
    ----------
    polygons : (p,) of shapely.Polygon
        Valid, none empty; the first annotation's first.
    owner : (p,) intp
        Which annotation each is of.
    mended : (n,) bool
        Whether an outline of each of the annotations crossed itself.
    """

    polygons: NDArray[Any]
    owner: NDArray[np.intp]
    mended: NDArray[np.bool_]


def settled(items: Sequence[Annotation]) -> Settled:
    """The polygons of annotations, made and looked at all at once: one by one takes ten times."""
    rings = [(i, ring) for i, item in enumerate(items) for area in item.areas for ring in area]
    shapes, owner = _polygons(items, [ring for _, ring in rings])
    more = [(i, shape) for i, item in enumerate(items) for shape in item.shapes]
    shapes = np.append(shapes, np.array([shape for _, shape in more], object))
    owner = np.append(owner, np.array([i for i, _ in more], np.intp))
    mended = np.zeros(len(items), bool)
    wrong = np.flatnonzero(~shapely.is_valid(shapes))
    mended[owner[wrong]] = True
    for i in wrong:
        shapes[i] = mend(shapes[i])
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    if not single.all():
        pieces = [[s] if one else parts(s) for s, one in zip(shapes, single, strict=True)]
        owner = np.repeat(owner, [len(p) for p in pieces])
        shapes = np.array([p for piece in pieces for p in piece], object)
    good = shapely.area(shapes) > 0
    order = np.argsort(owner[good], kind="stable")
    return Settled(shapes[good][order], owner[good][order], mended)


def _polygons(
    items: Sequence[Annotation], rings: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The polygons of all areas as they are, and the annotation each is of."""
    owner = np.array([i for i, item in enumerate(items) for _ in item.areas], np.intp)
    if not rings:
        return np.zeros(0, object), owner
    holes = np.array([len(area) for item in items for area in item.areas])
    number = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    lines: Any = shapely.linearrings(np.concatenate(rings), indices=number)
    made: Any = shapely.polygons(lines, indices=np.repeat(np.arange(len(holes)), holes))
    return made, owner


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
        Whether an object that cannot be taken as it stands in the file ends the reading.
    title : str
        The slide's name.
    nuclei : bool
        Whether of a cell that is outlined with its nucleus the nucleus is read, not the cell.
    sorts : bool
        Whether the file has both regions and objects; its reader says so before it gives any.
    problems : list of str
        A line for each object that was left out.
    remarks : list of str
        A line for each object that was taken otherwise than it stands in the file.
    """

    path: Path
    size: tuple[int, int]
    offset: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    strict: bool = False
    title: str = ""
    nuclei: bool = False
    sorts: bool = False
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def skip(self, where: str, why: str) -> None:
        """Leave an object out.

        Raises
        ------
        LabelError
            If the reading is strict.
        """
        self.problems.append(self._line(where, why))

    def remark(self, where: str, what: str) -> None:
        """Say that an object was changed. Raises as `skip` does."""
        self.remarks.append(self._line(where, what))

    def _line(self, where: str, text: str) -> str:
        line = f"{self.path.name}, {where}: {text}"
        if self.strict:
            raise LabelError(f"{line}. Nothing was imported.")
        return line

    def identity(self, where: str, value: Any) -> int:
        """The id that a file states, 0 if it states none, or one that cannot be kept."""
        found = whole(value)
        if found or value is None or isinstance(value, bool):
            return found
        if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.match(value)):
            told = str(value)[:24]
            self.remark(where, f"its id {told} is not from 1 to {MOST_ID}; it is given another")
        return 0

    def outline(self, where: str, rings: Sequence[Any], **about: Any) -> Iterator[Annotation]:
        """An object from its outer ring and holes, each of (x, y) of the file; none if unusable."""
        yield from self.outlines(where, [rings], **about)

    def outlines(
        self, where: str, areas: Sequence[Sequence[Any]], **about: Any
    ) -> Iterator[Annotation]:
        """An object from several polygons, each its outer ring and holes."""
        try:
            placed = tuple(
                tuple(self._ring(ring) for ring in rings if len(ring) or ring is rings[0])
                for rings in areas
            )
            if not placed or not all(placed):
                raise ValueError("no ring")
        except (TypeError, ValueError, IndexError, KeyError, OverflowError):
            self.skip(where, "its outline is no list of at least 3 finite points")
            return
        yield Annotation(where, placed, **about)

    def geometry(
        self, where: str, shapes: Sequence[BaseGeometry], **about: Any
    ) -> Iterator[Annotation]:
        """An object from shapes that are placed already."""
        yield Annotation(where, shapes=tuple(shapes), **about)

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

    def _ring(self, ring: Any) -> NDArray[np.float64]:
        points = self._placed(ring)
        if len(points) < 3 or (len(points) == 3 and (points[0] == points[2]).all()):
            raise ValueError("no area")
        return points

    def _placed(self, ring: Any) -> NDArray[np.float64]:
        points = np.asarray(ring, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] < 2:
            raise ValueError("no list of points")
        points = points[:, :2]
        if self.scale != 1.0 or self.offset != (0.0, 0.0):
            points = points * self.scale + self.offset[::-1]
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


def whole(value: object, most: int = MOST_ID) -> int:
    """A positive whole number that may be an id; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= most else 0
