"""`histoprompt anomaly`: tiles or cells that are unlike normal tissue, at a false-alarm rate."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from histoprompt.cli.indexed import Indexed, in_project, index_all, slide_facts, whole_path
from histoprompt.cli.options import add_device, add_mpp, add_trust_size
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import NamedSlide, add_slides, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.errors import RegionError
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.anomaly.files import ReportPictures, write_unlike
from histoprompt.pipelines.explore.anomaly.find import Unlike
from histoprompt.pipelines.explore.anomaly.reference import parse_reference
from histoprompt.pipelines.explore.anomaly.run import AnomalyParams, anomalies
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep


def add(anomaly: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slides(anomaly, "the results; default: in the project")
    anomaly.add_argument(
        "--reference",
        nargs="+",
        action="extend",
        required=True,
        metavar="[SLIDE:]r0,c0,r1,c1|[SLIDE:]GEOJSON|SLIDE",
        help="normal tissue: boxes, drawn regions (on the first slide if none is named), slides",
    )
    add_parameters(anomaly, AnomalyParams, ("reference",))
    add_device(anomaly)
    add_mpp(anomaly)
    add_trust_size(anomaly)
    anomaly.set_defaults(run=_anomaly)


def _anomaly(args: argparse.Namespace) -> int:
    params = read_parameters(AnomalyParams, args, ("reference",), reference=tuple(args.reference))
    named = parse_reference(params.reference)
    slides = named_slides(args.slides, args.out)
    normal, beyond = _reference_slides(named.slides, slides)
    manager = ModelManager(device=args.device)
    done = index_all(slides, params.index, manager, args)
    if named.on_first and done.indexes[0].path != slides[0].path:
        raise RegionError(f"The reference lies on {slides[0]}, which could not be indexed.")
    if named.on_first and len(slides) > 1:
        say(f"note: the reference lies on {slides[0].name}, the first slide.")
    others = index_all(beyond, params.index, manager, args) if beyond else None
    if others is not None:
        done.named.update(others.named)
    found, shown = anomalies(
        done.indexes,
        others.indexes if others else [],
        lambda index: index.path in normal,
        params,
        opener=done.open,
        task=args.task,
    )
    args.task.repeat()  # files tell of all tiles or are not written
    folder = args.out or in_project(slides, "anomaly")
    write_unlike(folder, found, shown)
    _keep_recipe(folder, params, named.slides, done)
    _tell(folder, found, shown)
    return done.status or (others.status if others else 0)


def _reference_slides(
    named: tuple[str, ...], slides: list[NamedSlide]
) -> tuple[set[str], list[NamedSlide]]:
    """Paths of slides that are looked at and normal, and the other normal slides."""
    normal: set[str] = set()
    beyond: list[NamedSlide] = []
    for text in named:
        here = [s for s in slides if text in (s.name, s.path)]
        there = [] if here else named_slides([text], None, without_out=True)
        for slide in there:
            same = [s for s in slides if whole_path(s.path) == whole_path(slide.path)]
            here += same
            beyond += [] if same else [slide]
        normal |= {s.path for s in here}
    return normal, beyond


def _keep_recipe(
    folder: Path, params: AnomalyParams, slides: tuple[str, ...], done: Indexed
) -> None:
    """What was done, beside its results, with whole paths."""
    paths = {s.name: s.path for s in done.named.values()}
    files = {t: whole_path(paths.get(t, t)) for t in slides}
    files |= {str(p): whole_path(str(p)) for p in parse_reference(params.reference).files}
    whole = tuple(files.get(t.strip(), t.strip()) for t in params.reference)
    step = RecipeStep("anomaly", placed(replace(params, reference=whole)))
    keep_recipe(folder, (step,), slide_facts(done.indexes))


def _tell(folder: Path, found: Unlike, shown: ReportPictures) -> None:
    for note in (*found.notes, *(str(t) for t in shown.told if t.everywhere)):
        say(f"note: {note}")
    rates = found.decides.held_out_rates(found.share)
    tell(
        f"the reference has {found.reference.many(len(found.reference))}; {len(rates)} "
        f"{found.parted_by} held out in turn: {rates.mean():.2%} false alarms "
        f"({rates.min():.1%} to {rates.max():.1%}) at a typed "
        f"{found.share:.2%}"
    )
    hits = found.tiles.many(int(found.hit.sum()))
    tell(f"{hits} of {len(found.tiles)} unlike the reference -> {folder}")
