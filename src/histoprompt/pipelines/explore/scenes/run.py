"""From indexes to named scenes with pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histoprompt.core.task import Task
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.from_index import tiles_of
from histoprompt.pipelines.explore.index import SlideIndex
from histoprompt.pipelines.explore.pictures import Opener, Picture, pictures_of
from histoprompt.pipelines.explore.scenes.files import SHOWN
from histoprompt.pipelines.explore.scenes.find import ClusterParams, Scenes, find_scenes
from histoprompt.pipelines.explore.scenes.names import LOOKED_AT, name_scenes

_PIXELS = 96


def scenes_of(
    indexes: Sequence[SlideIndex],
    params: ClusterParams,
    *,
    manager: ModelManager,
    opener: Opener,
    task: Task,
) -> tuple[Scenes, dict[int, Picture]]:
    """Find scenes, name them, and read pictures of typical tiles, by row.

    Raises
    ------
    HistopromptError
        As `find_scenes`, `name_scenes` and readers of slides do.
    """
    found = find_scenes(tiles_of(indexes), params, task)
    if len(params.words) > 1 and len(found):
        names = name_scenes(
            found.tiles,
            found.typical(LOOKED_AT),
            params.words,
            params.namer,
            least=params.margin,
            manager=manager,
            opener=opener,
            task=task,
        )
        found = replace(found, names=names)
    if not len(found):
        return found, {}
    rows = np.concatenate(found.typical(SHOWN))
    return found, pictures_of(found.tiles, rows, _PIXELS, opener, task)


def facts_of(params: ClusterParams) -> dict[str, str]:
    """What scenes were made with, for files."""
    method = "k-means" if params.method == "kmeans" else "HDBSCAN"
    return {"encoder": params.encoder, "found by": method, "named by": params.namer}
