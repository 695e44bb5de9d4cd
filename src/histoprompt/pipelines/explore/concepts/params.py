"""What concepts are learnt from, and by what they are applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from histoprompt.core.parameters import Parameter, check, given_file
from histoprompt.models import registry
from histoprompt.pipelines.classes.train_params import STRENGTH
from histoprompt.pipelines.explore.index import IndexParams


@dataclass(frozen=True)
class ConceptParams(IndexParams):
    """Which concepts tell classes, and how freely.

    Attributes
    ----------
    encoder : str
        Id of a `TextScorer`; of any encoder where there are no phrases.
    phrases : tuple of str
    measured : bool
        Whether measured properties are concepts too.
    strength : float
        scikit-learn's C, for standardised concepts.
    strike : tuple of str
        Concepts to leave out.
    """

    encoder: Annotated[str, Parameter("Encoder", "What looks at the tiles.")] = (
        registry.DEFAULT_WORDS
    )
    phrases: Annotated[
        tuple[str, ...],
        Parameter("Phrases", "What may be seen in a tile, in words; a|b: synonyms."),
    ] = ()
    measured: Annotated[
        bool,
        Parameter("Measured properties", "Dyes, nuclei, colour and texture are concepts too."),
    ] = True
    strength: Annotated[float, STRENGTH] = 1.0
    strike: Annotated[
        tuple[str, ...], Parameter("Struck out", "Concepts that must not decide.")
    ] = ()


@dataclass(frozen=True)
class ConceptApplyParams:
    """By what tiles are told.

    Attributes
    ----------
    concepts : Path or None
        A file of concepts that was learnt.
    weights : Path or None
        Of the encoder, where they are the user's own.
    """

    concepts: Annotated[
        Path | None, Parameter("Concepts", "A file of concepts that was learnt.")
    ] = None
    weights: Annotated[
        Path | None, Parameter("Weights", "A weights file of your own.", advanced=True)
    ] = None

    def __post_init__(self) -> None:
        check(self)

    def file(self) -> Path:
        """The file of concepts.

        Raises
        ------
        ParameterError
            If none is given.
        """
        return given_file(self, "concepts", "learnt")
