"""`histoprompt score`: words to score maps, regions and counts."""

from __future__ import annotations

import argparse
from pathlib import Path

from histoprompt.cli.ending import each
from histoprompt.cli.options import (
    add_device,
    add_mpp,
    add_trust_size,
    number,
    region_numbers,
    region_of,
)
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.programs import add_trust, agree_to_program
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.look import look_at
from histoprompt.core.strings.wording import many
from histoprompt.models import registry
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.count.job import CountChoice
from histoprompt.pipelines.count.result_folders import free_folder
from histoprompt.pipelines.embedding.embedding_store import folder_bytes
from histoprompt.pipelines.embedding.score_job import ScoreJob
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep
from histoprompt.pipelines.regions.cell_texts import CellTexts
from histoprompt.pipelines.regions.count import count_regions, write_counts
from histoprompt.pipelines.text.phrases import understood_all
from histoprompt.pipelines.text.region_file import named
from histoprompt.pipelines.text.run import ScoredSlide, finish, write_scored
from histoprompt.pipelines.text.score import score
from histoprompt.pipelines.text.step import ScoreStepParams
from histoprompt.pipelines.text.text_embedding import ScoreParams
from histoprompt.pipelines.text.tile_label_file import read_marks

# Given once per text, not as a list.
_TOLD = ("texts", "contrasts")


def add(score: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slides(score)
    score.add_argument(
        "--text",
        action="append",
        required=True,
        metavar="WORDS",
        help="a map each; a|b: synonyms",
    )
    score.add_argument("--contrast", action="append", default=[], metavar="WORDS")
    score.add_argument(
        "--model", default=registry.DEFAULT_WORDS, metavar="ID", help="default: %(default)s"
    )
    score.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    score.add_argument("--region", metavar="r0,c0,r1,c1", help="only this part of each slide")
    add_device(score)
    add_mpp(score)
    add_trust_size(score)
    score.add_argument(
        "--literal", action="store_true", help="refuse phrases that the model has no name for"
    )
    _add_scoring(score)
    _add_counting(score)
    score.set_defaults(run=_score)


def _add_scoring(score: argparse.ArgumentParser) -> None:
    score.add_argument("--threshold", type=number, metavar="T", help="0 to 1; regions are above it")
    score.add_argument("--marks", type=Path, metavar="CSV", help="tiles marked yes and no")
    add_parameters(score, ScoreParams, skip=_TOLD)
    score.add_argument("--least-tiles", type=int, default=1, metavar="N", help="of a region")


def _add_counting(score: argparse.ArgumentParser) -> None:
    score.add_argument("--count", action="store_true", help="count cells inside the regions")
    score.add_argument("--segmenter", default=registry.DEFAULT_CELLS, metavar="ID")
    score.add_argument("--cell-text", action="append", default=[], metavar="WORDS")
    add_trust(score)
    add_parameters(score, CellTexts)


def score_params(args: argparse.Namespace, region: tuple[int, ...] = ()) -> ScoreStepParams:
    """What the arguments say; `region` are the numbers of ``--region``, which a slide checks.

    Raises
    ------
    HistopromptError
        If a value cannot be.
    """
    given = {"texts": tuple(args.text), "contrasts": tuple(args.contrast), "region": region}
    return read_parameters(ScoreStepParams, args, (*_TOLD, "region"), **given)


def _score(args: argparse.Namespace) -> int:
    if args.count:
        agree_to_program(args.segmenter, None, accepted=args.trust_program)
    job = ScoreJob(ModelManager(device=args.device), registry.card(args.model), args.weights)
    if not args.literal:
        _understand(args, job)
    params = read_parameters(
        ScoreParams, args, _TOLD, texts=tuple(args.text), contrasts=tuple(args.contrast)
    )
    slides = named_slides(args.slides, args.out)
    taken: list[Path] = []

    def score_one(named: NamedSlide) -> int:
        with named.open(args) as slide:
            folder = args.out
            if folder is None or len(slides) > 1:
                folder = free_folder(*named.place(args.out, "score"), slide.key, taken)
            taken.append(folder)
            for doubt in look_at(slide):
                say(f"note: {slide.name}: {doubt}.")
            found = _score_slide(slide, params, job, args)
            write_scored(folder, found)
            _keep_recipe(args, folder, slide)
            _report(found, folder, job.stores / slide.key)
            if args.count:
                _count(slide, found, job, folder, args)
        return 0

    return each(slides, score_one, args.task, ("slide", "slides"))


def _understand(args: argparse.Namespace, job: ScoreJob) -> None:
    """Put free phrases as words that the model knows, and say so."""
    for name in ("text", "contrast", "cell_text"):
        said, told = understood_all(getattr(args, name), job.card, job.manager, args.task)
        setattr(args, name, list(said))
        for one in told:
            say(f"note: {one.told}; --literal takes words as they stand.")


def _keep_recipe(args: argparse.Namespace, folder: Path, slide: Slide) -> None:
    """What was done, beside its results, so that it can be done again."""
    params = score_params(args, region_numbers(args.region, slide))
    facts = {"slide": slide.key}
    if args.count:
        facts["left out"] = "the count of cells in the regions"
    keep_recipe(folder, (RecipeStep("score", placed(params)),), facts)


def _report(found: ScoredSlide, folder: Path, kept: Path) -> None:
    for line in found.origins():
        tell(line)
    size = f"{folder_bytes(kept) / 1e6:.2f} MB"
    tell(f"{many(len(found.scores), 'tile')}, {many(len(found.regions), 'region')} -> {folder}")
    tell(f"embeddings kept for other words: {size} in {kept}")


def _score_slide(
    slide: Slide, params: ScoreParams, job: ScoreJob, args: argparse.Namespace
) -> ScoredSlide:
    region = None if args.region is None else region_of(args.region, slide)
    scores, seen = score(slide, params, job, args.task, region=region)
    args.task.repeat()  # files tell of all tiles or are not written
    marks = None if args.marks is None else read_marks(args.marks, scores)
    typed = {} if args.threshold is None else dict.fromkeys(scores.texts, args.threshold)
    return finish(scores, seen, marks=marks, thresholds=typed, least_tiles=args.least_tiles)


def _count(
    slide: Slide, found: ScoredSlide, job: ScoreJob, folder: Path, args: argparse.Namespace
) -> None:
    texts = read_parameters(CellTexts, args, texts=tuple(args.cell_text), templates=args.templates)
    choice = CountChoice(segmenter=args.segmenter, device=args.device)
    chained = count_regions(slide, named(found.regions), choice, job, args.task, texts=texts)
    args.task.repeat()  # what is counted is kept to go on with
    write_counts(folder, chained.counts)
    for name, class_name, count, density in chained.counts.table():
        tell(f"{name}: {count} {class_name or 'cells'}, {density:.0f} per mm2")
    kept = chained.work.folder
    tell(f"count kept to go on with: {folder_bytes(kept) / 1e6:.2f} MB in {kept}")
    if args.cell_text:
        say("note: cells were told apart by words alone; look at some before you count on them.")
