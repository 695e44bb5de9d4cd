"""Tables of cells with known classes, for tests of what is learnt from them."""

from __future__ import annotations

import numpy as np

from histoprompt.core.cell_table import CellTable

NAMES = ("size", "shade", "noise", *(f"seen_{i}" for i in range(12)))


def clusters(
    each: dict[str, int], apart: float = 4.0, seed: int = 0
) -> tuple[CellTable, np.ndarray]:
    """Cells of some classes and the truth: their means lie `apart` standard deviations apart.

    Ids start at 101 and are in no order.
    """
    rng = np.random.default_rng(seed)
    truth = np.repeat(list(each), list(each.values()))
    centre = {name: np.random.default_rng(i).normal(size=len(NAMES)) for i, name in enumerate(each)}
    for i, name in enumerate(each):
        centre[name][:] *= apart / np.sqrt(len(NAMES))
        centre[name][i % 2] += apart
    features = np.stack([centre[name] + rng.normal(size=len(NAMES)) for name in truth])
    # Units differ as those of real features do.
    features = (features * 10.0 ** np.linspace(-2, 4, len(NAMES))).astype(np.float32)
    ids = 101 + rng.permutation(len(truth))
    place = rng.uniform(0, 1000, (2, len(truth)))
    table = CellTable(
        ids, place[0], place[1], np.ones(len(ids)), features=features, feature_names=NAMES
    )
    return table, truth


def some_labels(cells: CellTable, truth: np.ndarray, each: int, seed: int = 0) -> dict[int, str]:
    """True classes of some cells of each class."""
    rng = np.random.default_rng(seed)
    labels: dict[int, str] = {}
    for name in np.unique(truth):
        rows = rng.permutation(np.flatnonzero(truth == name))[:each]
        labels |= {int(cells.id[r]): str(name) for r in rows}
    return labels


def cells_on_a_grid(step: int = 24) -> CellTable:
    """Away from the borders of the colours by at least a crop."""
    rows = [r for r in range(8, 380, step) if min(abs(r - b) for b in (128, 256)) > 20]
    at = np.array([(r, c) for r in rows for c in range(5, 350, step)], float)
    n = len(at)
    return CellTable(np.arange(1, n + 1), at[:, 0], at[:, 1], np.full(n, 20.0))
