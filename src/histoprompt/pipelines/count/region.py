"""Which part of a slide is counted, and what densities are divided by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from histoprompt.core.errors import RegionError, Remedy
from histoprompt.core.geometry import Box
from histoprompt.core.labels.contours import fill
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.core.tissue.find import BLUR, GLASS, PEN, Tissue, find_tissue, holds_specks
from histoprompt.pipelines.count.ignored import check_left, clipped, less
from histoprompt.pipelines.formats.polygons import from_polygon
from histoprompt.pipelines.formats.regions import Region

# One level of at most this many square millimetres is a picture somebody cut out: all of it counts.
PICTURE_MM2 = 4.0
ALL = "all"


@dataclass(frozen=True, eq=False)
class CountRegion:
    """What is counted.

    On a whole slide that is the tissue: cells on glass, under pen marks and in blurred parts are
    left out of the count as they are of the area. Where somebody chose the place (a region, drawn
    regions, a small picture) every cell in it counts, and the area leaves out glass alone.

    Attributes
    ----------
    box : Box
        Integer level-0 box that holds all of it.
    tissue : Tissue
    regions : tuple of Region
        Drawn ones; empty if all of `box` is meant.
    user_drawn : bool
        Whether somebody chose the place.
    parts : tuple of Box
        The boxes that were counted, if not all was; areas are those of these.
    without : tuple of Region
        What is ignored of it: no cell in there counts, and areas are without it.
    """

    box: Box
    tissue: Tissue
    regions: tuple[Region, ...] = ()
    user_drawn: bool = True
    parts: tuple[Box, ...] = ()
    without: tuple[Region, ...] = ()

    @property
    def denominator(self) -> str:
        """What areas are, in words."""
        return self._place_in_words + (", less what is ignored" if self.without else "")

    @property
    def _place_in_words(self) -> str:
        if not self.user_drawn:
            return "tissue of the slide (glass, pen marks and blur left out)"
        place = "the drawn regions" if self.regions else "the region"
        if not self._has_tissue:
            return f"all of {place} (no tissue was recognised in it)"
        return f"{place} without glass (pen marks and blur included)"

    @property
    def names(self) -> tuple[str, ...]:
        """``"all"``, then the drawn regions."""
        return (ALL, *(region.name for region in self.regions))

    def meets(self, box: Box) -> bool:
        """Whether anything of a level-0 box may be counted."""
        if self.regions:
            rectangle = shapely.box(*_xy(box))
            return any(shapely.intersects(r.polygon, rectangle) for r in self.regions)
        if self.without and shapely.covers(self._left_out, shapely.box(*_xy(box))):
            return False
        return self.user_drawn or self.tissue.area_px(box, self._near) > 0

    def counts(self, at: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of (n, 2) level-0 centroids are counted."""
        if self.regions:
            inside = np.asarray(self.membership(at).any(axis=1))
        else:
            inside = np.ones(len(at), bool) if self.user_drawn else self.tissue.at(self._near, at)
        if self.without:
            inside &= ~shapely.contains_xy(self._left_out, at[:, 1] + 0.5, at[:, 0] + 0.5)
        return inside

    def membership(self, at: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n, regions) bool: in which drawn regions each of (n, 2) centroids lies."""
        x, y = at[:, 1] + 0.5, at[:, 0] + 0.5
        inside = [shapely.contains_xy(region.polygon, x, y) for region in self.regions]
        return np.stack(inside, axis=1) if inside else np.zeros((len(at), 0), bool)

    def analysed_mm2(self, name: str = ALL) -> float:
        """Square millimetres that densities are divided by."""
        pixels = self._pixels(name, self._masks)
        return pixels * (self.tissue.mpp or np.nan) ** 2 / 1e6

    def region_mm2(self, name: str = ALL) -> float:
        """Square millimetres of the place itself, glass and all."""
        return self._pixels(name, None) * (self.tissue.mpp or np.nan) ** 2 / 1e6

    def warnings(self) -> list[str]:
        """What a reader of the count should know of the place."""
        shares = self.tissue.shares(self.box)
        left = "counted with the rest" if self.user_drawn else "left out"
        found = [
            f"{shares[r]:.1%} of the area is {r}: {left}." for r in (PEN, BLUR) if shares[r] > 0.001
        ]
        if self.user_drawn and not self._has_tissue:
            found.append("No tissue was recognised: densities are per area of the whole region.")
        if self.without:
            mm2 = shapely.area(self._left_out) * (self.tissue.mpp or np.nan) ** 2 / 1e6
            count = many(len(self.without), "area")
            area = f"{mm2:.4f} mm²" if mm2 >= 0.001 else f"{mm2 * 1e6:,.0f} µm²"
            found.append(f"{count} of ignored classes ({area}) left out, with their cells.")
        drawn = (note for region in self.regions for note in region.notes)
        return [*(_sentence(doubt) for doubt in self.tissue.doubts), *drawn, *found]

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Where drawn regions lie, (h, w) on the overview of the tissue."""
        return _on_overview(self.tissue, shapely.union_all([r.polygon for r in self.regions]))

    @cached_property
    def _left_out(self) -> shapely.Geometry:
        whole = shapely.union_all([region.polygon for region in self.without])
        shapely.prepare(whole)
        return whole

    @property
    def _near(self) -> NDArray[np.bool_]:
        return self.tissue.near

    @property
    def _has_tissue(self) -> bool:
        return self.tissue.area_px(self.box, ~self.tissue.excluded[GLASS]) > 0

    @property
    def _masks(self) -> NDArray[np.bool_] | None:
        if not self.user_drawn:
            return self.tissue.tissue
        return ~self.tissue.excluded[GLASS] if self._has_tissue else None

    def _pixels(self, name: str, mask: NDArray[np.bool_] | None) -> float:
        """Level-0 pixels of the place that lie in a mask of the overview; all of them without."""
        boxes = self.parts or (self.box,)
        if not self.regions and not self.without:
            return sum(b.area if mask is None else self.tissue.area_px(b, mask) for b in boxes)
        polygon = shapely.union_all([shapely.box(*_xy(box)) for box in boxes])
        if self.regions:
            chosen = [r.polygon for r in self.regions if name in (ALL, r.name)]
            polygon = shapely.intersection(shapely.union_all(chosen), polygon)
        polygon = shapely.difference(polygon, self._left_out)
        if mask is None:
            return float(polygon.area)
        inside = _on_overview(self.tissue, polygon)
        share = mask[inside].mean() if inside.any() else 1.0
        return float(polygon.area * share)


def count_region(
    slide: Slide,
    box: Box | None = None,
    regions: Sequence[Region] = (),
    tissue: Tissue | None = None,
    without: Sequence[Region] = (),
) -> CountRegion:
    """Decide what is counted.

    Parameters
    ----------
    slide : Slide
    box : Box, optional
        The region somebody chose.
    regions : sequence of Region
        Drawn ones, in place of `box`.
    tissue : Tissue, optional
        Where it is known already.
    without : sequence of Region
        What is ignored, wherever it lies.

    Raises
    ------
    RegionError
        If a whole slide holds glass only, or all of the place is ignored.
    """
    cut: tuple[Region, ...] = ()
    if regions:
        inside = shapely.box(0, 0, slide.shape[1], slide.shape[0])
        cut = tuple(replace(r, polygon=shapely.intersection(r.polygon, inside)) for r in regions)
        without = clipped(without, shapely.union_all([r.polygon for r in cut]))
        cut = tuple(less(cut, without))
        check_left(cut, without)
        c0, r0, c1, r1 = shapely.total_bounds([r.polygon for r in cut])
        box = Box(r0, c0, r1, c1).to_pixels()
    if tissue is None or not tissue.frame.box.covers(box or slide.box):
        tissue = find_tissue(slide, box)
    if cut and box is not None:
        return CountRegion(box, tissue, cut, without=tuple(without))
    without = clipped(without, shapely.box(*_xy(box or slide.box)))
    if box is not None:
        ground = CountRegion(box, tissue, without=without)
        check_left(not without or ground.region_mm2(), without)
        return ground
    area = slide.box.area * (slide.mpp or 0.25) ** 2 / 1e6
    picture = len(slide.levels) == 1 and area <= PICTURE_MM2
    if not (tissue.tissue.any() or (picture and holds_specks(slide))):
        raise RegionError(_nothing(slide, tissue), remedy=Remedy.REGION)
    return CountRegion(slide.box, tissue, user_drawn=picture, without=without)


def _xy(box: Box) -> tuple[float, float, float, float]:
    return box.c0, box.r0, box.c1, box.r1


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _nothing(slide: Slide, tissue: Tissue) -> str:
    shares = ", ".join(f"{v:.0%} {k}" for k, v in tissue.shares(slide.box).items() if k != "tissue")
    return f"{slide.name} holds no tissue to count in ({shares})."


def _on_overview(tissue: Tissue, polygon: shapely.Geometry) -> NDArray[np.bool_]:
    """The pixels of the overview whose centres lie in a polygon of level-0 (x, y)."""
    box, (sr, sc) = Box.of_shape(tissue.frame.shape), tissue.frame.scale
    corner = tissue.frame.box.c0, tissue.frame.box.r0
    small = shapely.transform(polygon, lambda xy: (xy - corner) / (sc, sr))
    parts = [p for p in shapely.get_parts(small) if isinstance(p, shapely.Polygon)]
    return fill([from_polygon(p) for p in parts], box)
