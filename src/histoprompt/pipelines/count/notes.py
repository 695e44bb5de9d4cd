"""What a reader of a count should know of the slide and of the model that counted."""

from __future__ import annotations

from histoprompt.core.stain.fit import StainMatrix
from histoprompt.models import registry

# Models that learnt nuclei on H&E.
_LEARNT_ON_HE = (registry.DEFAULT_CELLS,)


def stain_notes(dyes: StainMatrix, segmenter: str) -> tuple[str, ...]:
    """Whether a model is used on a stain that it did not learn.

    Parameters
    ----------
    dyes : StainMatrix
        Of the slide.
    segmenter : str
        Id of the model that found the cells.
    """
    if dyes.stain != "H-DAB" or segmenter not in _LEARNT_ON_HE:
        return ()
    return (
        "The slide looks like an immunostain (brown DAB), and the model learnt nuclei on H&E: it "
        "misses dark brown nuclei or covers half of them, so the share of positive cells comes out "
        "too low. Audit the count, or compare it with one by classical-cells.",
    )
