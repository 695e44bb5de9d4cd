"""What decides which cells a count finds, beside what a person chose: part of what it is known by.

A count goes on only where all of this is as it was; otherwise one half would be counted by one
program and the other half by another. Whoever changes what a step finds raises its number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash

from histoprompt.core.stain.fit import StainMatrix
from histoprompt.models.card import ModelCard
from histoprompt.models.cells import instances, joining, postprocess
from histoprompt.models.networks import decoding as decoding_steps
from histoprompt.pipelines.cells import (
    features,
)
from histoprompt.pipelines.cells import (
    find as find_cells,
)
from histoprompt.pipelines.cells import (
    prompted as prompted_cells,
)
from histoprompt.pipelines.cells import (
    tile_context as look,
)
from histoprompt.pipelines.count import store as count_store
from histoprompt.pipelines.count.region import CountRegion


def algorithm() -> str:
    """The steps of this program that find and measure cells, with their numbers."""
    steps = {
        "look": look.ALGORITHM,
        "halo_um": look.HALO_UM,
        "scale": look.TOLERANCE,
        "find": find_cells.ALGORITHM,
        "seams": count_store.ALGORITHM,
        "features": features.ALGORITHM,
        "ring_um": features.RING_UM,
    }
    return _text(steps)


def decoding(card: ModelCard) -> str:
    """How what a model answers becomes cells."""
    steps: dict[str, Any] = {card.id: card.algorithm}
    if card.role == "cells":
        steps |= {"instances": instances.ALGORITHM, "neck": instances.NECK}
        steps |= {"joining": joining.ALGORITHM, "piece": joining.PIECE}
    else:
        steps |= {"prompted": prompted_cells.ALGORITHM, "same": prompted_cells.SAME}
        steps |= {"largest": prompted_cells.LARGEST}
        steps |= {"decoder": decoding_steps.ALGORITHM, "tidied": postprocess.ALGORITHM}
    return _text(steps)


def seen(ground: CountRegion, dyes: StainMatrix) -> dict[str, Any]:
    """What was seen of a slide before it was counted: where its tissue is, and its dyes."""
    tissue = xxhash.xxh3_64_hexdigest(np.packbits(ground.tissue.tissue).tobytes())
    colours = [round(float(v), 6) for v in (*dyes.haematoxylin, *dyes.other)]
    return {"tissue": tissue, "dyes": [dyes.stain, *colours]}


def _text(steps: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number:g}" for name, number in steps.items())
