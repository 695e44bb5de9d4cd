"""Which set a tile goes to, so that nothing of what is tested was trained on."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import shapely

from histoprompt.core.errors import ExportError
from histoprompt.core.geometry import Box
from histoprompt.core.tiling import Tile
from histoprompt.pipelines.formats.job import ExportJob, ExportParams

Split = Literal["train", "val", "test"]
# The part of a TCGA name that is the patient's.
_TCGA = re.compile(r"TCGA-\w{2}-\w{4}", re.IGNORECASE)


class Splits:
    """Sets of the tiles of an export.

    Parameters
    ----------
    job : ExportJob

    Raises
    ------
    ExportError
        If the patient, or the regions, by which sets are told apart are not known.
    """

    def __init__(self, job: ExportJob) -> None:
        self._params, self._key = job.params, job.slide.key
        self._regions = job.areas
        self._whole = shapely.union_all([region.polygon for region in job.areas])
        if job.params.split_by == "patient":
            self._key = _patient(job)
        if job.params.split_by == "region" and not self._regions:
            raise ExportError("To split by region, give a file of regions; no region is known.")

    def of(self, tile: Tile) -> Split | None:
        """The set of a tile; None for one that is left out.

        A tile that meets regions of several sets, or none, is left out of a split by region. Where
        only annotated tiles are wanted, one that reaches out of the regions is left out.
        """
        area = _area(tile.inner)
        wanted = self._params.only_annotated and bool(self._regions)
        if wanted and not shapely.covers(self._whole, area):
            return None
        if self._params.split_by != "region":
            return split_of(self._key, tile.row, tile.col, self._params)
        met = {
            _set_of(f"{self._key}/{region.name}", self._params)
            for region in self._regions
            if shapely.intersection(region.polygon, area).area > 0
        }
        return met.pop() if len(met) == 1 else None


def split_of(key: str, row: int, col: int, params: ExportParams) -> Split:
    """Which set a tile goes to: the same for the same slide and place, whatever else there is."""
    place = (row // params.block_tiles, col // params.block_tiles)
    return _set_of(f"{key}/{place}" if params.split_by == "block" else key, params)


def share_of(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def _set_of(text: str, params: ExportParams) -> Split:
    share = share_of(text)
    if share < params.test_share:
        return "test"
    return "val" if share < params.test_share + params.val_share else "train"


def _patient(job: ExportJob) -> str:
    found = _TCGA.match(job.slide.name)
    name = job.params.patient or (found[0].upper() if found else "")
    if not name:
        raise ExportError(
            f"To split by patient, say whose slide {job.slide.name} is: the name does not tell it."
        )
    return f"patient/{name}"


def _area(box: Box) -> shapely.Polygon:
    return shapely.box(box.c0, box.r0, box.c1, box.r1)
