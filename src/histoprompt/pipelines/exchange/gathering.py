"""Annotations of a file become labels of the slide, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.labels.classes import Colour
from histoprompt.core.labels.outline_labels import OutlineLabels
from histoprompt.core.slides.slide import Slide
from histoprompt.core.task import Task
from histoprompt.pipelines.exchange.measured import MANY, MOST_TOLD, Measuring
from histoprompt.pipelines.exchange.roll import Roll
from histoprompt.pipelines.formats.annotation import Annotation, Reading, Settled, settled

_BATCH = 4096
# Sides of the polygon that stands for a point with a radius.
_QUARTER = 8


class Gathering:
    """What was gathered of a file.

    Attributes
    ----------
    labels : OutlineLabels
    roll : Roll
        Which objects there are, of which classes.
    titles : dict of int to str
        What the file calls objects themselves.
    colours : dict of str to (r, g, b)
    centres : list of (row, col, str)
        Points without an outline, level-0 pixels, and their classes.
    seen, outside, repaired : int
        Annotations, those wholly outside the slide, and those with mended outlines.
    nuclei : int
        Cells that the file outlines with their nuclei.
    measuring : Measuring
        What the file measured.

    Parameters
    ----------
    slide : Slide
    reading : Reading
    radius : float
        Level-0 pixels of the disc that stands for a point; 0 to leave points without an outline.
    """

    def __init__(self, slide: Slide, reading: Reading, radius: float = 0.0) -> None:
        self.labels = OutlineLabels(slide.shape)
        self.roll = Roll()
        self.titles: dict[int, str] = {}
        self.colours: dict[str, Colour] = {}
        self.centres: list[tuple[float, float, str]] = []
        self.seen = self.outside = self.repaired = self.nuclei = 0
        self.measuring = Measuring(MANY if reading.nuclei else MOST_TOLD)
        self._reading, self._radius, self._slide = reading, radius, slide
        self._parts: dict[int, int] = {}
        self._next = 1

    def gather(self, items: Iterable[Annotation], task: Task) -> None:
        """Take annotations.

        Raises
        ------
        LabelError
            If the reading is strict and one cannot be taken as it stands in the file.
        Cancelled
            If the task is.
        """
        left = iter(items)
        while some := list(islice(left, _BATCH)):
            task.step(0, 0, f"Read {self.seen + len(some):,} objects of {self._reading.path.name}")
            self.seen += len(some)
            areas = list(self._with_area(some))
            self._settle(areas, settled(areas))

    def hidden(self, shown: NDArray[np.uint32]) -> None:
        """Tell of objects that no pixel shows; `shown` are the labels that are there, ascending."""
        for label in np.setdiff1d(self.labels.ids(), shown).tolist():
            why = "objects that come later in the file cover it"
            if not self.labels.alone(label):
                why = "it is smaller than a pixel"
            self._reading.skip(self.roll.where(label), why)
            self.roll.hide(label)

    def _with_area(self, items: Iterable[Annotation]) -> Iterator[Annotation]:
        """Annotations with an outline, or with the disc that stands for one."""
        for item in items:
            if item.point is None:
                yield item
                continue
            x, y = item.point
            rows, cols = self._slide.shape
            if not (0 <= x < cols and 0 <= y < rows):
                self._left_outside(item)
            elif self._radius:
                disc = shapely.Point(x, y).buffer(self._radius, quad_segs=_QUARTER)
                yield Annotation(
                    item.where, shapes=(disc,), id=item.id, class_name=item.class_name,
                    colour=item.colour, measurements=item.measurements,
                )  # fmt: skip
            else:
                self.centres.append((y - 0.5, x - 0.5, item.class_name))

    def _settle(self, items: list[Annotation], found: Settled) -> None:
        rows, cols = self._slide.shape
        x0, y0, x1, y1 = shapely.bounds(found.polygons).reshape(-1, 4).T
        on_slide = (x1 > 0) & (y1 > 0) & (x0 < cols) & (y0 < rows)
        some = np.bincount(found.owner, minlength=len(items)) > 0
        near = np.bincount(found.owner[on_slide], minlength=len(items)) > 0
        ids = np.zeros(len(items), np.uint32)
        for i, item in enumerate(items):
            if not some[i]:
                self._reading.skip(item.where, "its outline encloses nothing")
            elif not near[i]:
                self._left_outside(item)
            else:
                ids[i] = self._take(item, bool(found.mended[i]))
        label = ids[found.owner]
        shown = (label > 0) & on_slide
        self.labels.add(found.polygons[shown], label[shown])

    def _left_outside(self, item: Annotation) -> None:
        self.outside += 1
        if self._reading.strict:
            self._reading.skip(item.where, "it lies outside the slide")

    def _take(self, item: Annotation, mended: bool) -> int:
        if mended:
            self.repaired += 1
            self._reading.remark(item.where, "its outline crosses itself; it was mended")
        if item.part_of and item.part_of in self._parts:
            return self._parts[item.part_of]
        label = self._free_id(item)
        if item.part_of:
            self._parts[item.part_of] = label
        self.roll.add(label, item.class_name, item.where, own=label == item.id)
        self.nuclei += item.has_nucleus
        self.measuring.add(label, item.measurements)
        if item.name:
            self.titles[label] = item.name
        if item.colour and item.class_name:
            self.colours[item.class_name] = item.colour
        return label

    def _free_id(self, item: Annotation) -> int:
        if item.id and item.id not in self.roll:
            return item.id
        while self._next in self.roll:
            self._next += 1
        if item.id:
            first = self.roll.where(item.id)
            self._reading.remark(
                item.where, f"its id {item.id} is that of {first}; it is given {self._next}"
            )
        return self._next
