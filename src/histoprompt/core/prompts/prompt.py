"""What a person points at: clicks, a box, scribbles.

A prompt lives in one plane, and says nothing of which: pipelines hold prompts in level-0 pixels and
map them with `Prompt.into` to the pixels of the image a model sees.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histoprompt.core.errors import PromptError
from histoprompt.core.geometry import Box, Frame, union_of
from histoprompt.core.results import Mask

PromptKind = Literal["point", "box", "scribble"]
# What people call them, in the order they are named.
KIND_WORDS: dict[PromptKind, str] = {
    "point": "clicks",
    "box": "boxes",
    "scribble": "scribbles",
}

INSIDE: int = 1
OUTSIDE: int = 2


@dataclass(frozen=True, slots=True)
class Strokes:
    """Scribbles as the lines that were drawn.

    Attributes
    ----------
    positive, negative : tuple of (n, 2) float arrays
        Polylines of (row, col) in the plane of the prompt.
    width : float
        Thickness of the pen in pixels of that plane.
    """

    positive: tuple[NDArray[np.float64], ...] = ()
    negative: tuple[NDArray[np.float64], ...] = ()
    width: float = 1.0

    def __bool__(self) -> bool:
        return bool(self.positive or self.negative)


@dataclass(frozen=True, slots=True)
class ScribbleMap:
    """Scribbles as they were painted.

    Attributes
    ----------
    array : (h, w) uint8
        0 untouched, 1 inside the object, 2 outside it.
    frame : Frame
        Where the array lies in the plane of the prompt.
    """

    array: NDArray[np.uint8]
    frame: Frame

    def __bool__(self) -> bool:
        return bool(self.array.any())


def _no_points() -> NDArray[np.float64]:
    return np.empty((0, 2))


def _no_labels() -> NDArray[np.bool_]:
    return np.empty(0, dtype=bool)


@dataclass(frozen=True, eq=False)
class Prompt:
    """Everything said about one object.

    Attributes
    ----------
    points : (n, 2) float64
        Clicks, (row, col).
    labels : (n,) bool
        True for a click inside the object, False for one outside it.
    box : Box or None
        A rectangle around the object.
    strokes : Strokes
        Scribbles given as lines.
    painted : ScribbleMap or None
        Scribbles given as painted pixels.
    previous : Mask or None
        What a model answered to less of it, for models that correct themselves. It says nothing by
        itself: no file keeps it.

    Raises
    ------
    PromptError
        If points and labels differ in number or are not finite.
    """

    points: NDArray[np.float64] = field(default_factory=_no_points)
    labels: NDArray[np.bool_] = field(default_factory=_no_labels)
    box: Box | None = None
    strokes: Strokes = Strokes()
    painted: ScribbleMap | None = None
    previous: Mask | None = None

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=float).reshape(-1, 2)
        labels = np.asarray(self.labels, dtype=bool).reshape(-1)
        if len(points) != len(labels):
            raise PromptError(
                f"{len(points)} points but {len(labels):,} labels: every point needs one label."
            )
        if not np.isfinite(points).all():
            raise PromptError("A point of the prompt is not a finite number.")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "labels", labels)

    @classmethod
    def of_points(cls, points: ArrayLike, labels: ArrayLike | None = None) -> Prompt:
        """Clicks only; without labels all of them are inside the object."""
        pts = np.asarray(points, dtype=float).reshape(-1, 2)
        lab = np.ones(len(pts), bool) if labels is None else np.asarray(labels, dtype=bool)
        return cls(points=pts, labels=lab)

    @classmethod
    def of_box(cls, box: Box) -> Prompt:
        """A box only."""
        return cls(box=box)

    @property
    def kinds(self) -> frozenset[PromptKind]:
        """Which kinds of prompt are given."""
        found: set[PromptKind] = set()
        if len(self.points):
            found.add("point")
        if self.box is not None:
            found.add("box")
        if self.strokes or self.painted:
            found.add("scribble")
        return frozenset(found)

    @property
    def is_positive(self) -> bool:
        """Whether anything says where the object *is*; exclusions alone select nothing."""
        return (
            self.box is not None
            or bool(self.labels.any())
            or bool(self.strokes.positive)
            or (self.painted is not None and bool((self.painted.array == INSIDE).any()))
        )

    def extent(self, positive_only: bool = False) -> Box:
        """The box around all that is given (or all that lies inside the object).

        Raises
        ------
        PromptError
            If nothing is given.
        """
        boxes = [] if self.box is None else [self.box]
        points = self.points[self.labels] if positive_only else self.points
        if len(points):
            boxes.append(Box.of_points(points))
        lines = self.strokes.positive + (() if positive_only else self.strokes.negative)
        boxes += [Box.of_points(line).pad((self.strokes.width - 1) / 2) for line in lines]
        if self.painted is not None:
            hit = self.painted.array == INSIDE if positive_only else self.painted.array > 0
            found = Box.of_mask(hit)
            if found is not None:
                boxes.append(self.painted.frame.box_to_slide(found))
        if not boxes:
            raise PromptError("The prompt is empty: give a click, a box or a scribble.")
        return union_of(boxes)

    def into(self, frame: Frame) -> Prompt:
        """The same prompt in the pixels of an array that lies at `frame`."""
        painted = self.painted
        if painted is not None:
            inner = frame.box_to_array(painted.frame.box)
            painted = ScribbleMap(painted.array, Frame(inner, painted.frame.shape))
        return Prompt(
            points=frame.to_array(self.points),
            labels=self.labels,
            box=None if self.box is None else frame.box_to_array(self.box),
            strokes=Strokes(
                tuple(frame.to_array(line) for line in self.strokes.positive),
                tuple(frame.to_array(line) for line in self.strokes.negative),
                self.strokes.width / max(frame.scale),
            ),
            painted=painted,
            previous=None if self.previous is None else self.previous.into(frame),
        )

    def extends(self, other: Prompt) -> bool:
        """Whether all of another prompt was said here too, and more."""
        if self.box != other.box:
            return False
        said, before = (_spoken(p) for p in (self, other))
        more = sum(said.values()) > sum(before.values())
        return more and all(said[part] >= count for part, count in before.items())

    def after(self, other: Prompt, answer: Mask) -> Prompt:
        """The prompt with what was answered to another, if that was corrected and not replaced."""
        keeps = self.extends(other) and not answer.empty
        return replace(self, previous=answer if keeps else None)

    def all_strokes(self) -> Strokes:
        """All scribbles as lines; each painted pixel becomes a line of one point."""
        if self.painted is None:
            return self.strokes
        dots = {
            value: tuple(
                p[None]
                for p in self.painted.frame.to_slide(np.argwhere(self.painted.array == value))
            )
            for value in (INSIDE, OUTSIDE)
        }
        return Strokes(
            self.strokes.positive + dots[INSIDE],
            self.strokes.negative + dots[OUTSIDE],
            self.strokes.width,
        )

    def without(self, *kinds: PromptKind) -> Prompt:
        """The prompt less these kinds."""
        return Prompt(
            points=_no_points() if "point" in kinds else self.points,
            labels=_no_labels() if "point" in kinds else self.labels,
            box=None if "box" in kinds else self.box,
            strokes=Strokes() if "scribble" in kinds else self.strokes,
            painted=None if "scribble" in kinds else self.painted,
            previous=self.previous,
        )


def _spoken(prompt: Prompt) -> Counter[tuple[object, ...]]:
    """Each click, line and painted pixel of a prompt, and how often it is there."""
    clicks = zip(map(tuple, prompt.points.tolist()), prompt.labels.tolist(), strict=True)
    parts: Counter[tuple[object, ...]] = Counter(clicks)
    for inside, lines in ((True, prompt.strokes.positive), (False, prompt.strokes.negative)):
        parts.update((inside, np.asarray(line, float).tobytes()) for line in lines)
    if prompt.painted is not None:
        where = np.argwhere(prompt.painted.array > 0)
        at = prompt.painted.frame.to_slide(where).round(3).tolist()
        values = prompt.painted.array[tuple(where.T)].tolist()
        parts.update(zip(map(tuple, at), map(str, values), strict=True))
    return parts
