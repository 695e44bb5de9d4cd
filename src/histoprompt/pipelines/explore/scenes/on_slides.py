"""Scenes over slides that are indexed now, and as a map of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.files.durable import make_folder
from histoprompt.core.geometry import Box
from histoprompt.core.labels.classes import Classes, Colour
from histoprompt.core.scores.map import ScoreMap
from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.from_index import index_part
from histoprompt.pipelines.explore.hits import Hit
from histoprompt.pipelines.explore.kind_map import kind_map
from histoprompt.pipelines.explore.pictures import Picture as Pixels
from histoprompt.pipelines.explore.scenes.files import SHOWN, write_scenes
from histoprompt.pipelines.explore.scenes.find import ClusterParams, Scenes, areas
from histoprompt.pipelines.explore.scenes.run import facts_of, scenes_of
from histoprompt.pipelines.explore.scenes.space import picture_of_space
from histoprompt.pipelines.explore.study import HitPicture, IndexedStudy, StudySlide, study_for
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep

_INDEXING = 0.8
_NO_SCENE = (150, 150, 150)


@dataclass(frozen=True)
class SceneLine:
    """What a list says of a scene.

    Attributes
    ----------
    name : str
    word : str
        The likeliest word, whether or not it names the scene; empty without words.
    margin : float
        How far that word is ahead of the next; NaN without words.
    mm2 : float
        On all slides.
    here : float
        On one of them; NaN if it is not among them.
    tiles : int
    colour : (r, g, b)
    """

    name: str
    word: str
    margin: float
    mm2: float
    here: float
    tiles: int
    colour: Colour


@dataclass(frozen=True, eq=False)
class ScenesFound:
    """What came of it.

    Attributes
    ----------
    study : IndexedStudy
    params : ClusterParams
    scenes : Scenes
    pictures : dict of int to (h, w, 3) uint8
        Of typical tiles, by row.
    plane : (n, 2) float32
        Where each tile lies on a map of all.
    plane_by : str
        How the map was made.
    """

    study: IndexedStudy
    params: ClusterParams
    scenes: Scenes
    pictures: dict[int, Pixels]
    plane: NDArray[np.float32]
    plane_by: str

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def told(self) -> str:
        """How many scenes there are, how sure, and how much of them is slide identity."""
        found = self.scenes
        lines = [f"{len(found)} scenes of {len(found.tiles):,} tiles."]
        best = next((s for s in found.stability if s.scenes == len(found)), None)
        if best is not None:
            lines.append(
                "So many come out again best: scenes of two halves of the tiles agree at "
                f"{best.agreement:.2f} (1 is the same, 0 chance)."
            )
        return " ".join((*lines, self._identity(), *found.notes, *self.study.faults))

    def lines(self, key: str = "") -> tuple[SceneLine, ...]:
        """A line per scene; `key` is of the slide whose own areas are wanted."""
        mm2, place = areas(self.scenes), self.study.part_of(key)
        names = self.scenes.names
        colours = Classes().palette(n.name for n in names)
        sizes = np.bincount(self.scenes.code[self.scenes.code >= 0], minlength=len(names))
        return tuple(
            SceneLine(
                name.name, name.word, name.margin, float(mm2[:, k].sum()),
                float("nan") if place is None else float(mm2[place, k]),
                int(sizes[k]), colours[name.name],
            )
            for k, name in enumerate(names)
        )  # fmt: skip

    def label_map(self, key: str) -> ScoreMap | None:
        """The scene of each tile of one slide, from 1, as a map; 0 is none; None of another slide.

        Its values are numbers of scenes, not scores.
        """
        rows = self._rows(key)
        return None if rows is None else self._map(key, "scenes", self.scenes.code[rows] + 1)

    def score_map(self, key: str, number: int) -> ScoreMap | None:
        """1 for the tiles of a scene on one slide and 0 for others; None of another slide."""
        rows = self._rows(key)
        if rows is None or number >= len(self):
            return None
        return self._map(key, self.scenes.names[number].name, self.scenes.code[rows] == number)

    def typical(self, number: int) -> tuple[HitPicture, ...]:
        """Pictures of the most typical tiles of a scene, each with where it lies."""
        tiles, space = self.scenes.tiles, self.scenes.space
        shown = []
        for rank, row in enumerate(self.scenes.typical(SHOWN)[number].tolist(), 1):
            slide = int(tiles.slide[row])
            near = float(space[row] @ self.scenes.centres[number])
            box = Box(*tiles.boxes[row].tolist())
            hit = Hit(row, slide, tiles.slides[slide].name, box, near, rank)
            shown.append(HitPicture(hit, self.pictures.get(row)))
        return tuple(shown)

    @property
    def plane_axes(self) -> tuple[str, str]:
        """What the axes of the map are."""
        return (f"{self.plane_by} 1", "2")

    @property
    def codes(self) -> NDArray[np.int16]:
        """(n,) of each tile, into `colours`."""
        return np.where(self.scenes.code < 0, len(self), self.scenes.code).astype(np.int16)

    @property
    def colours(self) -> NDArray[np.uint8]:
        """(scenes + 1, 3): of the scenes, and of tiles without one."""
        return np.array([*(line.colour for line in self.lines()), _NO_SCENE], np.uint8)

    def boxes(self, key: str, rows: NDArray[np.intp]) -> list[Box]:
        """Where some tiles lie, those of one slide."""
        place, tiles = self.study.part_of(key), self.scenes.tiles
        here = rows[tiles.slide[rows] == place] if place is not None else rows[:0]
        return [Box(*box) for box in tiles.boxes[here].tolist()]

    def tile_at(self, key: str, row: float, col: float) -> int:
        """The tile at a level-0 position of one slide; -1 if there is none."""
        place = self.study.part_of(key)
        found = None if place is None else self.scenes.tiles.holding(place, row, col)
        return -1 if found is None else found

    def hit(self, row: int) -> Hit:
        """Where a tile lies."""
        tiles = self.scenes.tiles
        slide = int(tiles.slide[row])
        return Hit(row, slide, tiles.slides[slide].name, Box(*tiles.boxes[row].tolist()), 1.0, 1)

    def renamed(self, number: int, name: str) -> ScenesFound:
        """With another name of one scene; raises as `Scenes.renamed` does."""
        return replace(self, scenes=self.scenes.renamed(number, name))

    def _identity(self) -> str:
        found = self.scenes
        if len(found.tiles.slides) < 2:
            return "How much of them is slide identity shows with several slides only."
        share = f"adjusted Rand index {found.slide_agreement:.2f}; 1 if scenes are slides"
        if np.isnan(found.robustness):
            return f"Slide identity: {share}."
        return f"Slide identity: {share}; robustness index {found.robustness:.2f}, 1 is best."

    def _rows(self, key: str) -> NDArray[np.intp] | None:
        place = self.study.part_of(key)
        return None if place is None else self.scenes.tiles.rows_of(place)

    def _map(self, key: str, text: str, values: NDArray[np.generic]) -> ScoreMap:
        place = self.study.part_of(key) or 0
        return kind_map(self.scenes.tiles, place, text, values, facts=facts_of(self.params))


def scenes_on(
    sources: Sequence[StudySlide],
    params: ClusterParams,
    manager: ModelManager,
    *,
    before: IndexedStudy | None = None,
    task: Task,
) -> ScenesFound:
    """Index slides, and bring their tiles into named scenes.

    Parameters
    ----------
    sources : sequence of StudySlide
    params : ClusterParams
    manager : ModelManager
    before : IndexedStudy, optional
        Is taken if it serves.
    task : Task

    Raises
    ------
    HistopromptError
        As `make_study` and `scenes_of` do.
    """
    indexing = index_part(params)
    study = study_for(sources, indexing, manager, before, task.part(0.0, _INDEXING))
    task = task.part(_INDEXING, 1.0)
    found, pictures = scenes_of(
        study.bank.index.slides, params, manager=manager, opener=study.opened, task=task
    )
    task.step(0, 0, "Drawing the map of tiles")
    return ScenesFound(study, params, found, pictures, *picture_of_space(found.space))


def save_found(found: ScenesFound, folder: Path, task: Task) -> Path:
    """Write the files of `write_scenes` with the names of now, and their recipe beside them.

    Raises
    ------
    ExportError
        If one cannot be written.
    """
    task.step(0, 1, "Writing scenes")
    make_folder(folder)
    write_scenes(folder, found.scenes, found.pictures, facts_of(found.params))
    parts = found.study.bank.index.slides
    facts = {"names": ", ".join(name.name for name in found.scenes.names)}
    if len(parts) > 1:
        facts["slides"] = ", ".join(part.name for part in parts)
    else:
        facts["slide"] = parts[0].slide
    keep_recipe(folder, (RecipeStep("cluster", placed(found.params)),), facts)
    return folder
