"""The dyes of a slide, fitted to a few fields of its tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histoprompt.core.geometry import Box
from histoprompt.core.slides.slide import Slide
from histoprompt.core.stain.fit import Stain, StainMatrix, fit_dyes
from histoprompt.core.task import Note, Task
from histoprompt.core.tissue.find import Tissue, find_tissue
from histoprompt.models import registry

# So many fields of so many pixels a side, at so many microns a pixel.
_FIELDS, _SIDE, _UM = 9, 512, 0.5
# Models that learnt nuclei on H&E.
_LEARNT_ON_HE = (registry.DEFAULT_CELLS,)


def stains_of(slide: Slide, tissue: Tissue, box: Box, stain: Stain | None = None) -> StainMatrix:
    """Fit the dyes to fields spread over the tissue of a box.

    Parameters
    ----------
    slide : Slide
    tissue : Tissue
        Where it has tissue.
    box : Box
        Integer level-0 box to look in.
    stain : {"H&E", "H-DAB"}, optional
        Decided by whether there is brown, if not given.
    """
    step = max(1.0, _UM / (slide.mpp or _UM))
    side = round(_SIDE * step)
    fields = []
    for row, col in _places(tissue, box):
        field = Box.around(row, col, side).to_pixels().shift_inside(slide.box)
        shape = tuple(max(1, round(n / step)) for n in field.shape)
        fields.append(slide.read(field, (shape[0], shape[1]))[0].reshape(-1, 1, 3))
    return fit_dyes(np.concatenate(fields), stain)


def stain_notes(dyes: StainMatrix, segmenter: str) -> tuple[str, ...]:
    """Whether a model is used on a stain that it did not learn.

    Parameters
    ----------
    dyes : StainMatrix
        Of the slide.
    segmenter : str
        Id of the model that finds the cells.
    """
    if dyes.stain != "H-DAB" or segmenter not in _LEARNT_ON_HE:
        return ()
    return (
        "The slide looks like an immunostain (brown DAB), and the model learnt nuclei on H&E: it "
        "misses dark brown nuclei or covers half of them, so the share of positive cells comes out "
        "too low. Audit the count, or compare it with one by classical-cells.",
    )


def tell_of_stain(slide: Slide, box: Box, segmenter: str, task: Task) -> None:
    """Tell, as a `Note`, what `stain_notes` says of the stain in a level-0 box of a slide."""
    if segmenter in _LEARNT_ON_HE:
        dyes = stains_of(slide, find_tissue(slide, box), box)
        for note in stain_notes(dyes, segmenter):
            task.tell(Note(note))


def _places(tissue: Tissue, box: Box) -> NDArray[np.float64]:
    """(n, 2) level-0 places on tissue, evenly spread in reading order; the middle if none."""
    inside = tissue.frame.box_to_array(box).to_pixels()
    inside = inside.intersection(Box.of_shape(tissue.frame.shape)) or inside
    rows, cols = np.nonzero(tissue.tissue[inside.slices()])
    if not len(rows):
        return np.array([box.centre])
    # columns of a chessboard of fields, so that places do not line up on one side
    order = np.lexsort((cols, rows // max(1, inside.shape[0] // 3)))
    chosen = order[np.linspace(0, len(order) - 1, _FIELDS + 2).astype(int)[1:-1]]
    at = np.stack([rows[chosen] + inside.r0, cols[chosen] + inside.c0], axis=1)
    return tissue.frame.to_slide(np.unique(at, axis=0))
