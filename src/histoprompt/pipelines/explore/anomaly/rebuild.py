"""What a small network that knows only the reference cannot rebuild of the hits, as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.task import Task
from histoprompt.pipelines.explore.anomaly.find import Unlike
from histoprompt.pipelines.explore.pictures import Opener, Picture, pictures_of
from histoprompt.pipelines.explore.tile_set import TileSet

# Tiles learnt from and steps: about a minute of one processor.
MOST, STEPS = 400, 200
_SHOWN = 128


def rebuilt_hits(
    found: Unlike, rows: NDArray[np.intp], opener: Opener, task: Task, steps: int = STEPS
) -> dict[int, tuple[Picture, Picture]]:
    """For each of some tiles, what was made of it and what is left, by row.

    Parameters
    ----------
    found : Unlike
    rows : (k,) intp
        Of ``found.tiles``.
    opener : callable
    task : Task
    steps : int
        Of training.

    Raises
    ------
    SlideError
        If a slide cannot be read.
    Cancelled
        If the task is cancelled.
    """
    from histoprompt.models.networks.masked_autoencoder import SIDE, rebuild, train

    if not len(rows):
        return {}
    some = np.arange(0, len(found.reference), max(1, len(found.reference) // MOST))
    normal = _stack(found.reference, some, SIDE, opener, task)
    shown = _stack(found.tiles, rows, SIDE, opener, task)
    net = train(
        normal, steps, tell=lambda n: task.step(n, steps, "Learning to rebuild normal tissue")
    )
    made = rebuild(net, shown)
    left = residuals(shown, made, rebuild(net, normal[:_SHOWN]), normal[:_SHOWN])
    return {int(row): (made[k], left[k]) for k, row in enumerate(rows.tolist())}


def residuals(
    shown: NDArray[np.uint8],
    made: NDArray[np.uint8],
    usual_made: NDArray[np.uint8],
    usual: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Pictures (n, h, w, 3) of what is left: black as usual in the reference, yellow beyond it.

    Parameters
    ----------
    shown, made : (n, h, w, 3) uint8
    usual, usual_made : (m, h, w, 3) uint8
        Of the reference: what is left of nineteen of twenty of its pixels is drawn black to red.
    """
    left, common = _left(shown, made), _left(usual, usual_made)
    top = max(float(np.percentile(common, 95)), 1e-3)
    level = np.clip(left / (2 * top), 0, 1)
    red, green = np.clip(2 * level, 0, 1), np.clip(2 * level - 1, 0, 1)
    return np.asarray(np.stack([red, green, np.zeros_like(red)], axis=3) * 255, np.uint8)


def _left(tiles: NDArray[np.uint8], made: NDArray[np.uint8]) -> NDArray[np.float32]:
    from scipy.ndimage import uniform_filter

    far = np.abs(tiles.astype(np.float32) - made).mean(axis=3)
    return np.asarray(uniform_filter(far, size=(0, 5, 5)), np.float32)


def _stack(
    tiles: TileSet, rows: NDArray[np.intp], side: int, opener: Opener, task: Task
) -> NDArray[np.uint8]:
    found = pictures_of(tiles, rows, side, opener, task)
    return np.stack([found[row] for row in rows.tolist()])
