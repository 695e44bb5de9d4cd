"""`histoprompt cluster`: kinds of tissue over all slides, named by words."""

from __future__ import annotations

import argparse

from histoprompt.cli.indexed import in_project, index_all, slide_facts
from histoprompt.cli.options import add_device, add_mpp, add_trust_size
from histoprompt.cli.parameters import add_parameters, read_parameters
from histoprompt.cli.slides import add_slides, named_slides
from histoprompt.cli.speech import say, tell
from histoprompt.core.strings.wording import many
from histoprompt.models.memory.manager import ModelManager
from histoprompt.pipelines.explore.from_index import index_part
from histoprompt.pipelines.explore.scenes.files import write_scenes
from histoprompt.pipelines.explore.scenes.find import ClusterParams, areas
from histoprompt.pipelines.explore.scenes.run import facts_of, scenes_of
from histoprompt.pipelines.recipes.beside import keep_recipe, placed
from histoprompt.pipelines.recipes.recipe import RecipeStep


def add(cluster: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_slides(cluster, "the results; default: in the project")
    add_parameters(cluster, ClusterParams)
    add_device(cluster)
    add_mpp(cluster)
    add_trust_size(cluster)
    cluster.set_defaults(run=_cluster)


def _cluster(args: argparse.Namespace) -> int:
    params = read_parameters(ClusterParams, args)
    slides = named_slides(args.slides, args.out)
    manager = ModelManager(device=args.device)
    done = index_all(slides, index_part(params), manager, args)
    found, pictures = scenes_of(
        done.indexes, params, manager=manager, opener=done.open, task=args.task
    )
    args.task.repeat()  # files tell of all tiles or are not written
    folder = args.out or in_project(slides, "cluster")
    write_scenes(folder, found, pictures, facts_of(params))
    keep_recipe(folder, (RecipeStep("cluster", placed(params)),), slide_facts(done.indexes))
    for note in found.notes:
        say(f"note: {note}")
    for name, mm2 in zip(found.names, areas(found).sum(axis=0), strict=True):
        tell(f"{name.name}: {mm2:.3f} mm2")
    tell(f"{many(len(found), 'scene')} of {many(len(found.tiles), 'tile')} -> {folder}")
    return done.status
