"""`histoprompt run`: a recipe on slides or a project, here or on many machines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.ending import INTERRUPTED
from histoprompt.cli.options import add_device, add_mpp, add_trust_size, whole
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import RecipeError
from histoprompt.core.files.own_folder import own_folder
from histoprompt.core.strings.wording import many

if TYPE_CHECKING:
    from histoprompt.pipelines.recipes.engines import Scheduler
    from histoprompt.pipelines.recipes.preflight import Preflight
    from histoprompt.pipelines.recipes.recipe import Recipe
    from histoprompt.pipelines.recipes.unit import Unit

_MOST_BLOCKS = 10_000


def add(run: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    run.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe.toml")
    add_slides(run)
    run.add_argument(
        "--into", type=Path, metavar="DIR", help="the folder of the one slide there is"
    )
    run.add_argument(
        "--scheduler", default="local:1", metavar="WHERE",
        help="local[:N], tcp://ADDRESS:PORT of a Dask scheduler, or slurm:PROFILE",
    )  # fmt: skip
    run.add_argument(
        "--blocks", type=_blocks, default=1, metavar="N",
        help="divide the tiles of each slide among the workers, in N blocks: for few large slides",
    )  # fmt: skip
    run.add_argument("--dry-run", action="store_true", help="check, estimate, and stop")
    run.add_argument(
        "--unchecked", action="store_true",
        help="begin with several slides without looking at them, the models and the disk first",
    )  # fmt: skip
    run.add_argument("--emit", choices=("snakemake", "slurm"), help="write a script, and stop")
    add_device(run)
    add_mpp(run)
    add_trust_size(run)
    run.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from histoprompt.pipelines.recipes.emit import emit
    from histoprompt.pipelines.recipes.engines import parse_scheduler
    from histoprompt.pipelines.recipes.recipe import completed, read_recipe, write_recipe
    from histoprompt.pipelines.recipes.run import run_recipe, takes_project

    recipe, scheduler = read_recipe(args.recipe), parse_scheduler(args.scheduler)
    if takes_project(recipe, given=_is_one_project(args)):
        return _run_on_project(recipe, args)
    slides = named_slides(args.slides, args.out or args.into)
    units = [_unit(slide, args) for slide in slides]
    out = _out(args, slides)
    if args.dry_run or _is_checked(args, units):
        found = _preflight(recipe, units, out, scheduler, args)
        if args.dry_run:
            return int(bool(found.faults) or not found.fits)
        found.refuse()
    if args.emit:
        write_recipe(out, completed(recipe))
        tell(f"{many(len(units), 'slide')} -> {emit(args.emit, units, out)}")
        return 0
    ran = run_recipe(recipe, units, out, scheduler, args.task)
    for result in ran.results:
        for note in result.notes:
            say(f"note: {result.name}: {note}")
        if result.fault:
            say(f"histoprompt: {result.name}: {result.fault}")
        tell(f"{result.name}: {result.state}{''.join(f'; {t}' for t in result.told)}")
    if ran.failed:
        names = ", ".join(r.name for r in ran.failed[:10])
        say(f"{len(ran.failed):,} of {len(ran.results):,} slides were set aside: {names}.")
    if ran.stopped:
        say("histoprompt: stopped; run the same command again to go on.")
        return INTERRUPTED
    tell(f"-> {ran.folder}")
    return int(bool(ran.failed))


def _blocks(text: str) -> int:
    value = whole(text)
    if not 1 <= value <= _MOST_BLOCKS:
        raise argparse.ArgumentTypeError(f"must lie between 1 and {_MOST_BLOCKS}")
    return value


def _is_one_project(args: argparse.Namespace) -> bool:
    from histoprompt.pipelines.project.project import is_project

    return len(args.slides) == 1 and is_project(args.slides[0])


def _run_on_project(recipe: Recipe, args: argparse.Namespace) -> int:
    """A step that needs all slides of a project at once."""
    from histoprompt.models.memory.manager import ModelManager
    from histoprompt.pipelines.project.project import open_project
    from histoprompt.pipelines.recipes.run import run_on_project
    from histoprompt.pipelines.recipes.step import ProjectInput

    step = recipe.steps[0]
    if not _is_one_project(args):
        raise RecipeError(f"The step {step.name} works on a project: give one project's folder.")
    folder = open_project(args.slides[0]).folder
    out = args.into or args.out or own_folder(folder / step.name)
    given = ProjectInput(folder, out, ModelManager(device=args.device), args.task)
    made = run_on_project(recipe, given)
    for note in made.notes:
        say(f"note: {note}")
    tell(f"{step.name}: {made.told}")
    tell(f"-> {out}")
    return 0


def _unit(slide: NamedSlide, args: argparse.Namespace) -> Unit:
    from histoprompt.core.strings.addresses import is_address
    from histoprompt.pipelines.recipes.unit import Unit

    if args.into is not None:
        folder = args.into.resolve()  # a person may name a link
    elif args.out is not None or slide.folder is None:
        folder = args.out / slide.name
    else:
        folder = slide.folder
    path = (
        slide.path if is_address(slide.path) or not slide.path else str(Path(slide.path).absolute())
    )
    mpp = slide.mpp if args.mpp is None else args.mpp
    return Unit(
        str(slide), path, str(folder.absolute()), str(args.recipe), mpp, args.device,
        args.trust_size, key=slide.key, blocks=args.blocks,
    )  # fmt: skip


def _out(args: argparse.Namespace, slides: list[NamedSlide]) -> Path:
    """Where the run as a whole is told of."""
    if args.into is not None and len(slides) > 1:
        raise RecipeError(f"--into takes one slide; there are {len(slides)}. Use --out.")
    if args.out is not None or args.into is not None:
        return Path(args.out or args.into)
    return Path(slides[0].folder or Path()).parents[1]


def _is_checked(args: argparse.Namespace, units: list[Unit]) -> bool:
    """Whether so much is asked for that hours could be lost."""
    return not args.unchecked and (len(units) > 1 or args.blocks > 1)


def _preflight(
    recipe: Recipe, units: list[Unit], out: Path, scheduler: Scheduler, args: argparse.Namespace
) -> Preflight:
    from histoprompt.pipelines.recipes.preflight import preflight

    found = preflight(recipe, units, out, scheduler, args.task)
    if args.dry_run:
        for fault in found.faults:
            say(f"histoprompt: {fault}")
        tell(str(found))
    else:  # each fault is told again, with the slide that is set aside for it
        say(f"note: {found}")
    return found
