"""Where on a patient's slides a feature, or a word of reports, is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import HistopromptError
from histoprompt.core.geometry import Box
from histoprompt.core.task import Task
from histoprompt.pipelines.count.counted_folder import CountedFolder, read_counted
from histoprompt.pipelines.count.result_folders import COUNT
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.params import RelateParams
from histoprompt.pipelines.relate.seen_in_cells import part_of
from histoprompt.pipelines.relate.seen_in_scenes import SceneSight
from histoprompt.pipelines.relate.seen_in_tiles import TileSight, TileWord, standing_out
from histoprompt.pipelines.relate.study import Study

Values = NDArray[np.float64]
# Microns a side of the part that is shown; level-0 pixels where the pixel size is not known.
_PART_UM, _PART_PX = 400.0, 800


def part_side(mpp: float | None) -> float:
    """Level-0 pixels a side of a part that is shown."""
    return _PART_UM / mpp if mpp else _PART_PX


@dataclass(frozen=True)
class Spot:
    """A part of a slide.

    Attributes
    ----------
    slide : str
    box : Box
        Level-0 pixels.
    shows : str
        How it was chosen, for people.
    words : tuple of str
        Words of reports that go with it.
    """

    slide: str
    box: Box
    shows: str
    words: tuple[str, ...] = ()


class Sights:
    """Looks where something is seen, by what the features were made of.

    Parameters
    ----------
    project : Project
    study : Study
    params : RelateParams
    words : sequence of (str, (patients,) float64)
        Words of reports, and which patients' reports affirm them.
    """

    def __init__(
        self, project: Project, study: Study, params: RelateParams,
        words: Sequence[tuple[str, Values]] = (),
    ) -> None:  # fmt: skip
        self.study = study
        self._project, self._params, self._words = project, params, words
        self._looked = False
        self._tiles: TileSight | None = None
        self._tile_words: tuple[TileWord, ...] = ()
        self._counted: dict[str, CountedFolder | None] = {}

    def of_feature(self, patient: int, feature: str, task: Task, *, highest: bool) -> Spot | None:
        """Where a patient's slides show most, or least, of a feature; None where nothing tells."""
        if self._params.features == "counts":
            return self._in_cells(patient, feature, highest=highest)
        if self._params.features == "scenes":
            return self._in_scenes(patient, feature, highest=highest)
        values = self.study.values[:, self.study.names.index(feature)]
        return self.of_values(patient, values, task, highest=highest)

    def of_values(self, patient: int, values: Values, task: Task, *, highest: bool) -> Spot | None:
        """The tile of a patient that goes most, or least, with values of patients."""
        sight = self.tiles(task)
        found = None if sight is None else sight.best(patient, values, highest=highest)
        if sight is None or found is None:
            return None
        slide, box, vector = found
        shows = f"the tile that goes {'most' if highest else 'least'} with it"
        return Spot(slide, box, shows, standing_out(vector, self._tile_words))

    def tiles(self, task: Task) -> TileSight | None:
        """The tiles of indexed slides, opened once, and words as they are seen in them."""
        if not self._looked:
            self._looked = True
            encoder = self._params.encoder
            self._tiles = TileSight.of(self._project, self.study, encoder, task)
            if self._tiles is not None:
                self._tile_words = self._tiles.words(self._words)
        return self._tiles

    @cached_property
    def _scenes(self) -> SceneSight | None:
        return SceneSight.of(self._project)

    def _in_cells(self, patient: int, feature: str, *, highest: bool) -> Spot | None:
        for slide in self.study.slides[patient]:
            counted = self._count_of(slide)
            if counted is None:
                continue
            box = part_of(counted, feature, part_side(counted.mpp), highest=highest)
            if box is not None:
                return Spot(slide, box, f"where it is {'highest' if highest else 'lowest'}")
        return None

    def _count_of(self, slide: str) -> CountedFolder | None:
        if slide not in self._counted:
            place = self._project.results(self._project.slide(slide)) / COUNT
            try:
                self._counted[slide] = read_counted(place)
            except HistopromptError:  # a picture less, not a report less
                self._counted[slide] = None
        return self._counted[slide]

    def _in_scenes(self, patient: int, scene: str, *, highest: bool) -> Spot | None:
        for slide in self.study.slides[patient]:
            box = self._scenes.tile(slide, scene, highest=highest) if self._scenes else None
            if box is not None:
                return Spot(slide, box, f"a tile of {scene if highest else 'another scene'}")
        return None
