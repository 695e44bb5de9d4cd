"""How to learn classes from labelled cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from histoprompt.core.errors import LabelError
from histoprompt.core.parameters import Parameter, check

# The row of scikit-learn's C, whatever is learnt by a logistic regression; what is usual differs.
STRENGTH = Parameter(
    "Strength",
    "How freely a logistic regression may follow its examples.",
    low=1e-3,
    high=100.0,
    advanced=True,
)


@dataclass(frozen=True)
class TrainParams:
    """How to learn from labelled cells.

    Attributes
    ----------
    method : {"auto", "logistic", "prototype", "forest", "discriminant"}
        ``auto`` takes prototypes while a class has fewer than three examples, then logistic
        regression.
    strength : float
        How freely a logistic regression may follow its examples (scikit-learn's C).
    margin : float
        A cell is unsure if its two likeliest classes are closer than this.
    percentile : float
        A cell is unsure if it is farther from the nearest example than this share of the examples
        are from their nearest other one; 95 to 99 is usual, 100 takes the farthest.
    alike : float
        Cosine from which two examples of different classes are pointed out.
    error_rate : float
        Share of each class that may be ruled out: cells of which one class alone stays possible get
        it, others are unsure (conformal). 0 goes by the margin.
    """

    method: Annotated[
        Literal["auto", "logistic", "prototype", "forest", "discriminant"],
        Parameter(
            "Method",
            "How classes are learnt from the labelled cells.",
            offers=(
                ("as suits the labels", "auto"),
                ("logistic regression", "logistic"),
                ("the mean of each class", "prototype"),
                ("random forest", "forest"),
                ("linear discriminant", "discriminant"),
            ),
        ),
    ] = "auto"
    strength: Annotated[float, STRENGTH] = 0.05
    margin: Annotated[
        float,
        Parameter(
            "Unsure within",
            "A cell is unsure if its two likeliest classes are closer than this.",
            low=0.0,
            high=0.9,
        ),
    ] = 0.1
    percentile: Annotated[
        float,
        Parameter(
            "Unlike all examples beyond",
            "Per cent of the examples that are nearer to their nearest other one.",
            low=50.0,
            high=100.0,
            unit="%",
            advanced=True,
        ),
    ] = 99.0
    alike: Annotated[
        float,
        Parameter(
            "Examples too alike from",
            "Cosine from which two examples of different classes are pointed out.",
            low=0.0,
            high=1.0,
            advanced=True,
        ),
    ] = 0.9
    error_rate: Annotated[
        float,
        Parameter(
            "Error rate per class",
            "Share of each class that may be ruled out; the rest is unsure. 0 goes by the margin.",
            low=0.0,
            high=0.5,
            special="by the margin",
            advanced=True,
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        check(self, LabelError)
