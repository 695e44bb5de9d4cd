"""Searching by example as a step of a recipe: each slide by itself."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.explore.exact import Bank
from histoprompt.pipelines.explore.hits import GALLERY, HITS, hits_of, write_gallery, write_hits
from histoprompt.pipelines.explore.indexing import index_slide
from histoprompt.pipelines.explore.project_index import ProjectIndex
from histoprompt.pipelines.explore.search import Asker, SearchParams, answered, index_params
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: SearchParams, folder: Path) -> StepOutput:
    indexed = index_params(params)
    part = index_slide(given.slide, indexed, given.manager, given.task)
    bank = Bank(ProjectIndex((part,)))

    def opened(place: str) -> Slide:
        return open_slide(place or given.slide.path or given.slide.name, given.slide.mpp)

    asker = Asker(bank, indexed.embed_job(given.manager), opened, open_picture)
    answers = answered(asker, params, given.task)
    hits = hits_of(bank.index, answers)
    write_hits(folder / HITS, hits)
    asked = (*params.like, *params.texts)
    write_gallery(
        folder / GALLERY, hits, lambda _: opened(""), given.task, told=answers.told, asked=asked
    )
    return StepOutput(f"{len(hits):,} hits", notes=answers.told, numbers={"hits": float(len(hits))})


def open_picture(path: str, mpp: float | None) -> Slide:
    """Open a picture; one that does not state its pixel size has the given one."""
    picture = open_slide(path)
    if picture.mpp is not None or mpp is None:
        return picture
    picture.close()
    return open_slide(path, mpp)


def _methods(params: SearchParams) -> str:
    said = (*params.like, *params.texts)
    return (
        f"Tiles like {', '.join(said)} were searched with the encoder {params.encoder}: cosine of "
        "standardised features, the mean of the examples less a share of the counter-examples."
    )


STEP = Step(
    "search",
    "finds tiles like examples",
    SearchParams,
    _run,
    lambda params: (params.encoder,),
    _methods,
    command=lambda params, slide, out: [
        *("search", slide),
        *arguments(params, apart=("like", "unlike", "texts")),
        *option("out", out),
    ],
)
