"""How unsure a classifier must be to say nothing, for an error rate that a person typed.

Split-conformal sets class by class (Mondrian): V. Vovk, "Conditional validity of inductive
conformal predictors", ACML 2012; M. Sadinle, J. Lei and L. Wasserman, "Least ambiguous set-valued
classifiers with bounded error levels", J. Am. Stat. Assoc. 114 (2019) 223-234.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoprompt.pipelines.classes.classifiers import Float


def cuts(held_out: Float, code: NDArray[np.int16], error: float) -> Float:
    """From which probability on each class stays possible, (c,) float32.

    Of cells of a class, at most the typed share has that class ruled out.

    Parameters
    ----------
    held_out : (m, c) float32
        Probabilities of examples from models that have not seen them.
    code : (m,) int16
    error : float
        Share of each class that may be ruled out, in (0, 1).

    Returns
    -------
    (c,) float32
        0 for a class with fewer than 1 / error - 1 examples: it is never ruled out.
    """
    out = np.zeros(held_out.shape[1], np.float32)
    for c in range(len(out)):
        own = np.sort(held_out[code == c, c])
        k = int(np.floor(error * (len(own) + 1)))
        if k:
            out[c] = own[k - 1]
    return out


@dataclass(frozen=True)
class Coverage:
    """What abstention costs and keeps, of one class.

    Attributes
    ----------
    name : str
    examples : int
    kept : float
        Share of held-out examples for which the class stays possible; at least 1 - error.
    decided : float
        Share that gets a class.
    wrong : float
        Share of those decided that gets another class; NaN if none is decided.
    """

    name: str
    examples: int
    kept: float
    decided: float
    wrong: float


def coverage(
    held_out: Float, code: NDArray[np.int16], names: tuple[str, ...], cut: Float
) -> tuple[Coverage, ...]:
    """Coverage of each class on held-out examples."""
    found = []
    for c, name in enumerate(names):
        rows = np.flatnonzero(code == c)
        may_be = held_out[rows] >= cut
        decided = may_be.sum(axis=1) == 1
        wrong = float((~may_be[decided, c]).mean()) if decided.any() else float("nan")
        kept = float(may_be[:, c].mean()) if len(rows) else float("nan")
        share = float(decided.mean()) if len(rows) else float("nan")
        found.append(Coverage(name, len(rows), kept, share, wrong))
    return tuple(found)


def too_few(code: NDArray[np.int16], names: tuple[str, ...], error: float) -> tuple[str, ...]:
    """Classes with too few examples to be ever ruled out at this error rate."""
    count = np.bincount(code, minlength=len(names))
    return tuple(n for n, k in zip(names, count, strict=True) if np.floor(error * (k + 1)) < 1)
