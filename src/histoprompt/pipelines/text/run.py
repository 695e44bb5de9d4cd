"""One slide from texts to files: the whole of `histoprompt score`, for a dock and a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from histoprompt.core.scores.files import (
    SCORES,
    TILES,
    heatmap_name,
    write_heatmap,
    write_scores,
    write_tiles,
)
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.scores.regions import ScoredRegion, find_regions
from histoprompt.pipelines.text.calibrate import TextCalibration, calibrated
from histoprompt.pipelines.text.region_file import REGIONS_FILE, write_regions
from histoprompt.pipelines.text.score import SeenTiles, manual


@dataclass(frozen=True, eq=False)
class ScoredSlide:
    """What came of scoring a slide.

    Attributes
    ----------
    scores : ScoreMap
    regions : tuple of ScoredRegion
        Of all texts, numbered through.
    calibrations : mapping of str to TextCalibration
        Of the texts that had marks.
    """

    scores: ScoreMap
    regions: tuple[ScoredRegion, ...]
    calibrations: Mapping[str, TextCalibration]

    def origins(self) -> list[str]:
        """One line a text: its threshold, where it came from, and what marks it rests on."""
        lines = []
        for text in self.scores.texts:
            cut = self.scores.thresholds[text]
            line = f"{text}: threshold {cut.value:.2f}, {cut.origin}"
            if text in self.calibrations:
                line += f"; {self.calibrations[text].text}"
            lines.append(line)
        return lines


def finish(
    scores: ScoreMap,
    seen: SeenTiles,
    *,
    marks: Mapping[str, Mapping[int, bool]] | None = None,
    thresholds: Mapping[str, float] | None = None,
    least_tiles: int = 1,
) -> ScoredSlide:
    """Calibrate to marks, take a typed threshold, and cut regions.

    Parameters
    ----------
    scores, seen
        From `score.score`.
    marks : mapping, optional
        For each text its marks by tile; tiles marked yes are in its regions, those marked no are
        not.
    thresholds : mapping, optional
        For each text one a person typed; it goes before one that marks moved.
    least_tiles : int
        Regions of fewer tiles are left out.
    """
    calibrations: dict[str, TextCalibration] = {}
    for text, answers in (marks or {}).items():
        if answers:
            scores, calibrations[text] = calibrated(scores, text, seen.vectors[0], answers)
            scores = scores.with_marks(text, answers)
    for text, value in (thresholds or {}).items():
        scores = scores.with_threshold(text, manual(value))
    return ScoredSlide(scores, regions_of(scores, least_tiles), calibrations)


def regions_of(scores: ScoreMap, least_tiles: int = 1) -> tuple[ScoredRegion, ...]:
    """The regions of all texts at their thresholds, numbered through."""
    regions: list[ScoredRegion] = []
    for text in scores.texts:
        first = len(regions) + 1
        regions += find_regions(scores, text, least_tiles=least_tiles, first_id=first)
    return tuple(regions)


def write_scored(folder: Path, found: ScoredSlide) -> None:
    """Write ``scores.zarr``, ``heatmap_<n>.tif``, ``tiles.csv`` and ``regions.geojson``.

    Raises
    ------
    ExportError
        If one cannot be written; each file is whole or as it was before.
    """
    write_scores(folder / SCORES, found.scores)
    for number, text in enumerate(found.scores.texts, start=1):
        write_heatmap(folder / heatmap_name(number), found.scores, text)
    write_tiles(folder / TILES, found.scores)
    write_regions(folder / REGIONS_FILE, found.regions, found.scores)
