"""Finding scenes as a step of a recipe."""

from __future__ import annotations

from pathlib import Path

from histoprompt.pipelines.explore.building import build_index
from histoprompt.pipelines.explore.from_index import index_part
from histoprompt.pipelines.explore.opening import opener_of
from histoprompt.pipelines.explore.scenes.files import write_scenes
from histoprompt.pipelines.explore.scenes.find import ClusterParams
from histoprompt.pipelines.explore.scenes.run import facts_of, scenes_of
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: ClusterParams, folder: Path) -> StepOutput:
    index = build_index(given.slide, index_part(params), given.manager, given.task)
    found, pictures = scenes_of(
        [index], params, manager=given.manager, opener=opener_of(given.slide), task=given.task
    )
    given.task.repeat()
    write_scenes(folder, found, pictures, facts_of(params))
    told = ", ".join(name.name for name in found.names)
    return StepOutput(
        f"{len(found)} scenes: {told}", notes=found.notes, numbers={"scenes": float(len(found))}
    )


def _methods(params: ClusterParams) -> str:
    many = "as many as were most stable under resampling" if not params.scenes else params.scenes
    how = "k-means" if params.method == "kmeans" else "HDBSCAN"
    return (
        f"Tiles described by the encoder {params.encoder} were brought into scenes by {how} "
        f"({many})."
    )


STEP = Step(
    "cluster",
    "brings tiles into scenes",
    ClusterParams,
    _run,
    lambda params: (params.encoder, *((params.namer,) if len(params.words) > 1 else ())),
    _methods,
    command=lambda params, slide, out: [
        *("cluster", slide),
        *arguments(params),
        *option("out", out),
    ],
)
