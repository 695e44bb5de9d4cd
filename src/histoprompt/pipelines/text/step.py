"""Scoring by words as a step of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from histoprompt.core.errors import ParameterError
from histoprompt.core.geometry import Box
from histoprompt.core.parameters import Parameter, check
from histoprompt.core.slides.slide import Slide
from histoprompt.core.strings.wording import many
from histoprompt.models import registry
from histoprompt.pipelines.embedding.ahead import VectorsAhead
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.recipes.beside import Needs
from histoprompt.pipelines.recipes.command import arguments, option
from histoprompt.pipelines.recipes.place import REGION, check_region, region_box
from histoprompt.pipelines.recipes.step import Step, StepInput, StepOutput
from histoprompt.pipelines.text.run import finish, write_scored
from histoprompt.pipelines.text.score import look_at_share, score
from histoprompt.pipelines.text.session import ScoreSession
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.pipelines.text.tile_label_file import read_marks, write_marks


@dataclass(frozen=True)
class ScoreStepParams(ScoreParams):
    """What to look for, with what, and where to cut.

    Attributes
    ----------
    model : str
    weights : Path or None
    threshold : float or None
    marks : Path or None
        Tiles marked yes and no.
    least_tiles : int
    region : tuple of int
    """

    model: Annotated[str, Parameter("Model", "What compares tiles with words.")] = "vocabulary"
    weights: Annotated[
        Path | None, Parameter("Weights", "A weights file of your own.", advanced=True)
    ] = None
    threshold: Annotated[float | None, Parameter("Threshold", "Regions are above it; 0 to 1.")] = (
        None
    )
    marks: Annotated[Path | None, Parameter("Marks", "Tiles marked yes and no.")] = None
    least_tiles: Annotated[
        int, Parameter("Least tiles", "Regions of fewer tiles are left out.")
    ] = 1
    region: Annotated[tuple[int, ...], REGION] = ()

    def __post_init__(self) -> None:
        check(self)
        check_region(self.region)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ParameterError(f"Threshold is {self.threshold:g}; it must lie between 0 and 1.")
        if self.least_tiles < 1:
            raise ParameterError(f"Least tiles is {self.least_tiles}; it must be at least 1.")


def _run(given: StepInput, params: ScoreStepParams, folder: Path) -> StepOutput:
    plain, job, where = _asked(given, params, folder)
    scores, seen = score(given.slide, plain, job, given.task, region=where)
    given.task.repeat()  # files tell of all tiles or are not written
    marks = None if params.marks is None else read_marks(params.marks, scores)
    cuts = {} if params.threshold is None else dict.fromkeys(scores.texts, params.threshold)
    found = finish(scores, seen, marks=marks, thresholds=cuts, least_tiles=params.least_tiles)
    write_scored(folder, found)
    VectorsAhead(folder).clear()
    return StepOutput(
        f"{many(len(found.scores), 'tile')}, {many(len(found.regions), 'region')}",
        numbers={"tiles": float(len(found.scores)), "regions": float(len(found.regions))},
    )


def _ahead(given: StepInput, params: ScoreStepParams, folder: Path, share: tuple[int, int]) -> None:
    plain, job, where = _asked(given, params, folder)
    look_at_share(given.slide, plain, job, share, given.task, region=where)


def _asked(
    given: StepInput, params: ScoreStepParams, folder: Path
) -> tuple[ScoreParams, ScoreJob, Box | None]:
    """What is asked, by what, and where."""
    if not params.texts:
        raise ParameterError("Texts are not given; name at least one.")
    card, ahead = registry.card(params.model), VectorsAhead(folder)
    job = ScoreJob(given.manager, card, params.weights, ahead=ahead)
    plain = ScoreParams(**{f.name: getattr(params, f.name) for f in fields(ScoreParams)})
    return plain, job, region_box(params.region, given.slide)


def _methods(params: ScoreStepParams) -> str:
    return f"Tiles were scored for {', '.join(params.texts)} with the model {params.model}."


def score_chosen(
    params: ScoreParams,
    model: tuple[str, Path | None],
    slide: Slide,
    where: Box,
    *,
    work: ScoreSession | None,
    needs: Needs,
) -> ScoreStepParams:
    """What a person chose in a window as parameters that a recipe holds.

    Parameters
    ----------
    params : ScoreParams
    model : (str, Path or None)
        Its id, and a weights file of the user's own.
    slide : Slide
    where : Box
        Level-0 pixels.
    work : ScoreSession or None
        What was found: a threshold that a person set for the one text there is, and tiles that
        were marked, are taken from it.
    needs : Needs
        Where the file of marks lies.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    plain = {f.name: getattr(params, f.name) for f in fields(ScoreParams)}
    region = () if where == slide.box else tuple(int(v) for v in where)
    made = ScoreStepParams(**plain, model=model[0], weights=model[1], region=region)
    if work is None or work.texts != params.texts:
        return made
    marks = {text: found for text in work.texts if (found := work.marks(text))}
    if marks:
        made = replace(made, marks=needs.file("marks.csv"))
        write_marks(needs.file("marks.csv"), marks, work.scores)
    if len(work.texts) == 1 and work.is_manual(work.texts[0]):
        made = replace(made, threshold=work.scores.thresholds[work.texts[0]].value)
    return made


def _command(params: ScoreStepParams, slide: str, out: str) -> list[str]:
    words = arguments(params, apart=("texts", "contrasts"))
    return ["score", slide, *words, *option("out", out)]


STEP = Step(
    "score",
    "scores tiles by words, and cuts regions",
    ScoreStepParams,
    _run,
    lambda params: (params.model,),
    _methods,
    command=_command,
    ahead=_ahead,
)
