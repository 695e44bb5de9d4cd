"""What was said of one object, in the pixels of a model's field, and how it is drawn for a network.

Positions are (row, col); numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

PEN = 2.5


@dataclass(frozen=True, eq=False)
class RasterPrompt:
    """Everything said about one object so far.

    Attributes
    ----------
    points : tuple of (row, col)
    inside : tuple of bool
        Of each point.
    box : (r0, c0, r1, c1) or None
        Half-open.
    drawn : (2, h, w) bool
        Scribbles inside and outside.
    before : (h, w) bool or None
        What was answered to less of it; None if nothing was.
    """

    drawn: NDArray[np.bool_]
    points: tuple[tuple[int, int], ...] = ()
    inside: tuple[bool, ...] = ()
    box: tuple[int, int, int, int] | None = None
    before: NDArray[np.bool_] | None = None

    @property
    def is_one_click(self) -> bool:
        """Whether all that was said is one click inside."""
        return self.inside == (True,) and self.box is None and not self.drawn.any()

    def clicked(self, at: NDArray[np.intp], inside: bool) -> RasterPrompt:
        """What was said, and a click."""
        point = (int(at[0]), int(at[1]))
        return replace(self, points=(*self.points, point), inside=(*self.inside, inside))

    def scribbled(self, strokes: NDArray[np.bool_], inside: bool) -> RasterPrompt:
        """What was said, and a scribble."""
        drawn = self.drawn.copy()
        drawn[0 if inside else 1] |= strokes
        return replace(self, drawn=drawn)


def proposed(said: RasterPrompt, nuclei: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The nuclei, of those found without a prompt, that a prompt seems to mean.

    Parameters
    ----------
    nuclei : (h, w) int32
        Found by the instance decoder, 0 elsewhere.

    Returns
    -------
    (h, w) bool
        Those under clicks and scribbles inside, less those under ones outside; of a box alone, the
        one that fills it best, if its IoU with the box is 0.3 or more.
    """
    rows, cols = (np.array(x, int) for x in np.array(said.points, int).reshape(-1, 2).T)
    inside = np.array(said.inside, bool)
    under = nuclei[rows, cols]
    wanted = np.union1d(under[inside], nuclei[said.drawn[0]])
    if not inside.any() and not said.drawn[0].any() and said.box is not None:
        wanted = _best_in_box(said.box, nuclei)
    refused = np.union1d(under[~inside], nuclei[said.drawn[1]])
    chosen = np.setdiff1d(wanted, np.append(refused, 0))
    return np.isin(nuclei, chosen) if chosen.size else np.zeros(nuclei.shape, bool)


def _best_in_box(box: tuple[int, int, int, int], nuclei: NDArray[np.int32]) -> NDArray[np.int32]:
    r0, c0, r1, c1 = box
    area = np.bincount(nuclei.ravel())
    both = np.bincount(nuclei[r0:r1, c0:c1].ravel(), minlength=len(area))
    fit = both / ((r1 - r0) * (c1 - c0) + area - both)
    fit[0] = 0
    best = int(fit.argmax())
    return np.array([best] if fit[best] >= 0.3 else [], np.int32)


def hints(said: RasterPrompt, nuclei: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
    """The prompt as pictures, (5, h, w).

    Inside, outside, box, the nuclei it seems to mean, and the answer before: 1 in it, -1 around it,
    0 everywhere if there was none.
    """
    h, w = said.drawn.shape[1:]
    out = np.zeros((5, h, w), np.float32)
    out[:2] = said.drawn
    rows, cols = np.ogrid[:h, :w]
    for (r, c), inside in zip(said.points, said.inside, strict=True):
        out[0 if inside else 1][(rows - r) ** 2 + (cols - c) ** 2 <= PEN**2] = 1
    if said.box is not None:
        r0, c0, r1, c1 = said.box
        out[2, r0:r1, c0:c1] = 1
    if nuclei is not None:
        out[3] = proposed(said, nuclei)
    if said.before is not None:
        out[4] = np.where(said.before, 1, -1)
    return out
