"""Which tile of a slide shows a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.errors import StudyError
from histoprompt.core.files.tables import read_table
from histoprompt.core.geometry import Box
from histoprompt.pipelines.explore.tile_table import BOX, TILES
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.relate.of_scenes import newest_scenes


@dataclass(frozen=True, eq=False)
class SceneSight:
    """The tiles of scenes.

    Attributes
    ----------
    slides, scenes : (n,) str
    boxes : (n, 4) int64
    at : (n, 2) float64
        In the picture of all tiles, where like ones lie together.
    """

    slides: NDArray[np.str_]
    scenes: NDArray[np.str_]
    boxes: NDArray[np.int64]
    at: NDArray[np.float64]

    @classmethod
    def of(cls, project: Project) -> SceneSight | None:
        """None where the tiles of scenes are not kept beside them, or cannot be read."""
        path = newest_scenes(project)
        tiles = None if path is None else path.with_name(TILES)
        if tiles is None or not tiles.is_file():
            return None
        try:
            need = ("slide", "scene", "name", "x", "y", *BOX)
            rows = [row for _, row in read_table(tiles, "The tiles in", StudyError, need).rows]
            boxes = np.array([[float(row[c]) for c in BOX] for row in rows], np.int64)
            at = np.array([[float(row["x"]), float(row["y"])] for row in rows])
        except (StudyError, ValueError):  # a picture less, not a report less
            return None
        named = [row["name"] or f"scene {row['scene']}" for row in rows]
        return cls(np.array([row["slide"] for row in rows]), np.array(named), boxes, at)

    def tile(self, slide: str, scene: str, *, highest: bool) -> Box | None:
        """The most typical tile of a scene on a slide; of its commonest other scene for lowest."""
        here = np.flatnonzero(self.slides == slide)
        wanted = scene
        if not highest:
            others, counts = np.unique(self.scenes[here], return_counts=True)
            counts[others == scene] = 0
            if not counts.any():
                return None
            wanted = str(others[counts.argmax()])
        rows = here[self.scenes[here] == wanted]
        if not len(rows):
            return None
        middle = np.median(self.at[self.scenes == wanted], axis=0)
        row = rows[int(np.linalg.norm(self.at[rows] - middle, axis=1).argmin())]
        return Box(*self.boxes[row].tolist())
