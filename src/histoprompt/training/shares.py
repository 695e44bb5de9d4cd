"""What a training learns from and what it is checked on, as its config says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoprompt.core.errors import LabelError
from histoprompt.core.task import Task
from histoprompt.training import gather, pseudo
from histoprompt.training.batch import Share
from histoprompt.training.data import Annotated, Sample, annotated_in, plain_field
from histoprompt.training.evaluate import Held, predict_maps
from histoprompt.training.pool import make_all
from histoprompt.training.sets import members, parted

if TYPE_CHECKING:
    from histoprompt.training.run import TrainConfig


@dataclass(frozen=True)
class Learnt:
    """Images of one set to learn from.

    Attributes
    ----------
    items : sequence of Annotated
    weight : float
        How often they are drawn beside those of other sets.
    variants : int
        Fields made of each stained one.
    """

    items: Sequence[Annotated]
    weight: float
    variants: int


@dataclass(frozen=True)
class HeldOutImages:
    """Images of one set to check on."""

    name: str
    items: Sequence[Annotated]


def splits(config: TrainConfig) -> tuple[list[Learnt], list[HeldOutImages]]:
    """Images to learn from and images to check on, set by set; none is in both.

    Raises
    ------
    LabelError
        If nothing is left to learn from, or nothing to check on.
    """
    learnt: list[Learnt] = []
    kept: list[HeldOutImages] = []
    checked: set[Path] = set()
    for one in config.sets:
        more, held = parted(members(one), one.held_out)
        learnt.append(Learnt(more, one.weight, one.variants))
        if one.folder not in checked:  # a set may be learnt from in several ways
            kept.append(HeldOutImages(one.folder.name, held))
        checked.add(one.folder)
    if config.data:
        items = [i for d in config.data for i in annotated_in(d)]
        more, held = split(items, config.held_out)
        learnt.append(Learnt(more, 1.0, config.pool.variants))
        kept.append(HeldOutImages("data", held))
    kept = [k for k in kept if k.items]
    if not kept or not any(one.items for one in learnt):
        raise LabelError(
            "Training needs annotated images to learn from and others to check on: "
            "name a folder with several images, and the groups of it that are held out."
        )
    return learnt, kept


def split(
    items: Sequence[Annotated], held_out: str, every: int = 5
) -> tuple[list[Annotated], list[Annotated]]:
    """Images to learn from, and stained ones kept for checks.

    The whole group `held_out` is kept, and every fifth image of each other group.
    """
    held: list[Annotated] = []
    stained = [i for i in items if i.kind in gather.STAINED_KINDS]
    for group in sorted({i.group for i in stained}):
        members_ = [i for i in stained if i.group == group]
        held += members_ if group == held_out else members_[::every]
    taken = {id(i) for i in held}
    learnt = [i for i in items if id(i) not in taken]
    if not learnt or not held:
        raise LabelError(
            f"Training needs annotated images to learn from and to check: {len(items)} is too few."
        )
    return learnt, held


def held_fields(kept: Sequence[HeldOutImages]) -> list[Held]:
    """Whole images at 0.25 um/px, set by set."""
    return [
        Held(k.name, [plain_field(i) for i in k.items], any(i.silver for i in k.items))
        for k in kept
    ]


def real_fields(config: TrainConfig) -> list[gather.RealField]:
    """Fields of tissue that nobody has annotated."""
    rng = np.random.default_rng(config.seed)
    return [
        f
        for path in config.real
        for f in gather.real_fields(
            path, config.real_mpp, config.real_fields, rng, trust_size=config.trust_size
        )
    ]


def annotated_shares(
    learnt: Sequence[Learnt], real: Sequence[gather.RealField], config: TrainConfig, task: Task
) -> list[Share]:
    """A share for each set, one for nuclei put into tissue and one for tissue without any."""
    pool, text = config.work / "pool", "making training fields"
    shares = []
    for number, one in enumerate(learnt):
        wanted = gather.stained_recipes(one.items, one.variants, (config.seed, number))
        shares.append(Share(make_all(wanted, pool, task, text), one.weight))
    items = [i for one in learnt for i in one.items]
    made, empty = gather.made_recipes(items, real, config.pool, config.seed)
    shares.append(Share(make_all(made, pool, task, text), config.made_weight))
    return [*shares, Share(make_all(empty, pool, task, text), config.made_weight / 8)]


def real_share(
    cells: Any, real: Sequence[gather.RealField], config: TrainConfig, task: Task
) -> Share:
    """Views of real fields with the labels a network is sure of."""

    @cache
    def labelled(number: int) -> Sample:
        one = real[number]
        labels, known = pseudo.relabelled(one.image, predict_maps(cells, one.image, turns=8))
        return Sample(one.image, labels, known, f"real/{one.name}")

    wanted = gather.real_recipes(
        [partial(labelled, k) for k in range(len(real))], config.pool.views, config.seed
    )
    paths = make_all(wanted, config.work / "real", task, "labelling real tissue")
    return Share(paths, config.real_weight)
