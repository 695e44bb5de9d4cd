"""`histoprompt count`: all cells of slides, as labels, tables and a report."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from histoprompt.cli.ending import INTERRUPTED, each
from histoprompt.cli.options import add_device, add_mpp, add_trust_size, positive, region_numbers
from histoprompt.cli.programs import add_trust, agree_to_program
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import say, tell, tell_notes
from histoprompt.core.task import Note, Task
from histoprompt.models import registry

if TYPE_CHECKING:
    from histoprompt.core.slides.slide import Slide
    from histoprompt.pipelines.count.run import CountJob
    from histoprompt.pipelines.count.slide import CountResult
    from histoprompt.pipelines.count.step import CountParams
    from histoprompt.pipelines.formats.regions import Region

_ALL = "all"
# Committed regions as they were counted in or ignored, for whoever counts again.
_REGIONS, _IGNORED = "regions.geojson", "ignored.geojson"


def add(count: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slides(count)
    count.add_argument("--segmenter", default=registry.DEFAULT_CELLS, metavar="ID")
    count.add_argument("--weights", type=Path, metavar="FILE", help="a weights file of your own")
    count.add_argument(
        "--proposer",
        default=registry.DEFAULT_CELLS,
        metavar="ID",
        help="what proposes cells to a segmenter that takes prompts",
    )
    place = count.add_mutually_exclusive_group()
    place.add_argument("--region", metavar="r0,c0,r1,c1", help="only this part of each slide")
    place.add_argument(
        "--regions", type=Path, metavar="GEOJSON", help="only in these polygons, counted one by one"
    )
    place.add_argument(
        "--in-regions",
        metavar="CLASS",
        help="only in the committed regions of this class, counted one by one; `all` takes all",
    )
    count.add_argument(
        "--without",
        type=Path,
        metavar="GEOJSON",
        help="ignore what lies in these polygons; default: what is committed as Ignore*",
    )
    classes = count.add_mutually_exclusive_group()
    classes.add_argument(
        "--classifier", type=Path, metavar="FILE", help="from `histoprompt classify fit`"
    )
    classes.add_argument(
        "--dab", action="store_true", help="positive and negative cells of an immunostain"
    )
    count.add_argument(
        "--embedding", action="store_true", help="keep what the model's encoder saw of each cell"
    )
    count.add_argument(
        "--channel",
        default="",
        metavar="NAME|N",
        help="of fluorescence: the channel that shows nuclei, by its name or its number from 1",
    )
    count.add_argument("--tile", type=_side, metavar="N", help="side of a tile, level-0 pixels")
    add_trust(count)
    add_device(count)
    add_mpp(count)
    add_trust_size(count)
    count.set_defaults(run=_count)


def count_params(args: argparse.Namespace, region: tuple[int, ...] = ()) -> CountParams:
    """What the arguments say; `region` are the numbers of ``--region``, which a slide checks.

    Raises
    ------
    HistopromptError
        If a value cannot be.
    """
    from histoprompt.cli.parameters import read_parameters
    from histoprompt.pipelines.count.step import CountParams

    return read_parameters(CountParams, args, skip=("region",), region=region)


def _count(args: argparse.Namespace) -> int:
    from histoprompt.pipelines.count.job import count_job

    agree_to_program(args.segmenter, args.weights, accepted=args.trust_program)
    slides = named_slides(args.slides, args.out)
    job = count_job(count_params(args))
    taken: list[Path] = []

    def count(named: NamedSlide) -> int:
        said: list[str] = []
        args.task.hear = partial(_hear, said)
        counted = _count_one(named, args, job, taken)
        _tell(counted, said)
        return 0 if counted.complete else INTERRUPTED

    with _stoppable(args.task):
        return each(slides, count, args.task, ("slide", "slides"))


def _count_one(
    named: NamedSlide, args: argparse.Namespace, job: CountJob, taken: list[Path]
) -> CountResult:
    from histoprompt.pipelines.count.result_folders import claimed_folder, unclaim
    from histoprompt.pipelines.count.slide import count_slide
    from histoprompt.pipelines.recipes.place import region_box

    with named.open(args, args.channel or None) as slide:
        params = count_params(args, region_numbers(args.region, slide))
        regions, without = _regions_of(args, slide), _ignored(args, slide)
        folder = claimed_folder(*named.place(args.out, "count"), slide.key, taken)
        taken.append(folder)
        try:
            counted = count_slide(
                slide, job, folder, args.task, box=region_box(params.region, slide),
                regions=regions, without=without, stain=params.stain,
            )  # fmt: skip
            _keep_recipe(args, params, folder, slide, (regions, without))
            return counted
        finally:
            unclaim(folder)


def _ignored(args: argparse.Namespace, slide: Slide) -> Sequence[Region]:
    """What is not counted, wherever it lies."""
    from histoprompt.pipelines.count.ignored import ignored_of
    from histoprompt.pipelines.formats.regions import read_areas, regions_document, regions_in

    if args.without:
        return read_areas(args.without, slide.shape)
    found = ignored_of(slide)
    # as they are read back, for the same reason as regions are
    return regions_in(regions_document(found), slide.shape, Path(_IGNORED)) if found else ()


def _regions_of(args: argparse.Namespace, slide: Slide) -> Sequence[Region]:
    """The regions to count in; none where all of a place is meant."""
    from histoprompt.annotations.store import LabelStore
    from histoprompt.pipelines.formats.regions import read_regions, regions_document, regions_in
    from histoprompt.pipelines.regions.committed import committed_regions

    if args.regions:
        return read_regions(args.regions, slide.shape)
    if args.in_regions is None:
        return ()
    name = "" if args.in_regions == _ALL else args.in_regions
    with LabelStore.of(slide, read_only=True) as store:
        found, folder = committed_regions(store, name), store.folder
    # as they are read back from the file that is kept of them, so that a replay is the same
    return regions_in(regions_document(found), slide.shape, folder)


def _keep_recipe(
    args: argparse.Namespace,
    params: CountParams,
    folder: Path,
    slide: Slide,
    places: tuple[Sequence[Region], Sequence[Region]],
) -> None:
    """What was done, beside its results, so that it can be done again; committed regions too."""
    from dataclasses import replace

    from histoprompt.core.files.atomic import replacing_file
    from histoprompt.pipelines.formats.json_files import write_json
    from histoprompt.pipelines.formats.regions import regions_document
    from histoprompt.pipelines.recipes.beside import keep_recipe, placed
    from histoprompt.pipelines.recipes.recipe import RecipeStep

    where, (regions, without) = "typed" if params.region else "the tissue of the slide", places
    for name, kept in ((_REGIONS, regions if args.in_regions else ()), (_IGNORED, without)):
        if kept:
            with replacing_file(folder / name) as part:
                write_json(part, regions_document(kept))
    params = replace(params, without=Path(_IGNORED) if without else None)
    if args.in_regions is not None:
        params = replace(params, regions=Path(_REGIONS))
        where = f"committed regions, {args.in_regions}"
    elif params.regions:
        params, where = replace(params, regions=params.regions.absolute()), "a file"
    step = RecipeStep("count", placed(params, ("regions", "without")))
    keep_recipe(folder, (step,), {"slide": slide.key, "region": where})


def _hear(said: list[str], news: object) -> None:
    """Say at once what is known before the end, so that one may stop there."""
    if isinstance(news, Note):
        said.append(news.text)
        tell_notes([news.text])


def _tell(counted: CountResult, said: Sequence[str]) -> None:
    tell_notes(note for note in counted.notes if note not in said)
    classes = [
        f"{line.count} {line.name}"
        for line in counted.tally.lines[1:]
        if line.region == counted.ground.names[0]
    ]
    by_class = f" ({', '.join(classes)})" if classes else ""
    tell(f"{counted.tally.total:,} cells{by_class} -> {counted.folder}")
    if not counted.complete:
        say(
            f"histoprompt: stopped after {counted.done:,} of {counted.total:,} tiles; what was "
            "counted is written and marked as partial. Run the same command again to go on."
        )


@contextmanager
def _stoppable(task: Task) -> Iterator[None]:
    """Ctrl-C or a request to end stops after the tile in hand; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: object) -> None:
        if task.cancelled:
            raise KeyboardInterrupt
        say("stopping after this tile; press Ctrl-C again to stop at once")
        task.cancel()

    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _side(text: str) -> int:
    value = round(positive(text))
    if value < 64:
        raise argparse.ArgumentTypeError("must be 64 or more")
    return value
