"""Where features come from: what was made here, or a file of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from histoprompt.core.errors import StudyError
from histoprompt.core.task import Task
from histoprompt.pipelines.project.project import Project
from histoprompt.pipelines.recipes.beside import placed
from histoprompt.pipelines.relate.features import FeatureTable, read_features
from histoprompt.pipelines.relate.of_counts import count_features
from histoprompt.pipelines.relate.of_index import index_features
from histoprompt.pipelines.relate.of_scenes import scene_features
from histoprompt.pipelines.relate.params import RelateParams

# By the word a person says; anything else is a file.
SOURCES: dict[str, Callable[[Project, RelateParams, Task], FeatureTable]] = {
    "counts": lambda project, params, task: count_features(project, params.radius, task),
    "scenes": lambda project, _p, _t: scene_features(project),
    "tiles": lambda project, params, task: index_features(project, params.encoder, "tiles", task),
    "embedding": lambda project, params, task: index_features(
        project, params.encoder, "embedding", task
    ),
}


def features_of(
    project: Project, params: RelateParams, taken: Sequence[str], task: Task
) -> FeatureTable:
    """The features that were asked for.

    Parameters
    ----------
    project : Project
    params : RelateParams
    taken : sequence of str
        Columns they are to be related to.
    task : Task

    Raises
    ------
    StudyError
        If they are not there or cannot be read.
    """
    if params.features in SOURCES:
        return SOURCES[params.features](project, params, task)
    path = Path(params.features).expanduser()
    if not path.is_file():
        raise StudyError(
            f"There are no features {params.features}: it is no file, and none of "
            f"{', '.join(SOURCES)}."
        )
    return read_features(path, taken)


def placed_relate(params: RelateParams) -> RelateParams:
    """The same parameters with whole paths, that of a file of features too, for a recipe."""
    if params.features not in SOURCES:
        params = replace(params, features=str(Path(params.features).expanduser().absolute()))
    return placed(params)
