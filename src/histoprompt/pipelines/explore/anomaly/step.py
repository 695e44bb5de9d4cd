"""Finding what is unlike normal as a step of a recipe."""

from __future__ import annotations

from pathlib import Path

from histoprompt.core.readers.open import open_slide
from histoprompt.core.slides.slide import Slide
from histoprompt.pipelines.explore.anomaly.files import write_unlike
from histoprompt.pipelines.explore.anomaly.reference import parse_reference
from histoprompt.pipelines.explore.anomaly.run import AnomalyParams, anomalies
from histoprompt.pipelines.explore.index import SlideIndex
from histoprompt.pipelines.explore.indexing import index_slide
from histoprompt.pipelines.explore.opening import opener_of
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput


def _run(given: StepInput, params: AnomalyParams, folder: Path) -> StepOutput:
    own = index_slide(given.slide, params.index, given.manager, given.task)
    others, own_is_normal = [], False
    for path in parse_reference(params.reference).slides:
        with open_slide(path, given.slide.mpp if _same(path, given.slide) else None) as slide:
            if slide.key == given.slide.key:
                own_is_normal = True
                continue
            others.append(_indexed(given, slide, params))
    found, shown = anomalies(
        [own],
        others,
        lambda _: own_is_normal,
        params,
        opener=opener_of(given.slide),
        task=given.task,
    )
    given.task.repeat()
    write_unlike(folder, found, shown)
    hits = int(found.hit.sum())
    return StepOutput(
        f"{hits} of {found.tiles.many(len(found.tiles))} unlike a reference of "
        f"{len(found.reference)}",
        notes=(*found.notes, *(str(t) for t in shown.told if t.everywhere)),
        numbers={"tiles": float(len(found.tiles)), "unlike normal": float(hits)},
    )


def _indexed(given: StepInput, slide: Slide, params: AnomalyParams) -> SlideIndex:
    return index_slide(slide, params.index, given.manager, given.task)


def _same(path: str, slide: Slide) -> bool:
    return str(slide.path) == path


def _methods(params: AnomalyParams) -> str:
    rate = f"{params.rate:g} {'of tiles' if params.rate_per == 'tile' else 'per mm²'}"
    return (
        f"{'Cells' if params.cells else 'Tiles'} unlike a reference of normal tissue were found "
        f"with the encoder {params.encoder} and the score {params.score}, at a false-alarm "
        f"rate of {rate} by conformal p-values on held-out parts of the reference."
    )


STEP = Step(
    "anomaly",
    "finds tiles or cells that are unlike a reference of normal tissue",
    AnomalyParams,
    _run,
    lambda params: (params.encoder,),
    _methods,
    command=lambda params, slide, out: [
        *("anomaly", slide),
        *arguments(params, apart=("reference",)),
        *option("out", out),
    ],
)
